"""From likelihoods to what a level chooses, gets right and changes. Pure functions."""

from collections.abc import Sequence
from statistics import fmean

from msgspec import structs

from harness.results.quality import Mean, TaskScores
from harness.runner.quality.replies import Answers, TasksRead
from harness.stats.proportions import mcnemar_p, wilson_interval


def chosen(likelihoods: Sequence[float], sizes_bytes: Sequence[int]) -> int:
    """Index of the choice whose likelihood per byte is the largest, the first of equals.

        argmax of ln p(choice | context) / bytes of the choice

    which is `acc_bytes` of EleutherAI's lm-evaluation-harness, and of ASCII text its `acc_norm`.

    Args:
        likelihoods: ln p of each choice.
        sizes_bytes: of each in UTF-8.
    """
    rates = [one / size for one, size in zip(likelihoods, sizes_bytes, strict=True)]
    return rates.index(max(rates))


def compare_answers(read: TasksRead, reference: Answers, level: Answers) -> TaskScores:
    """Compare what a level chooses with what its fp32 reference does.

    A flip is an item that one of the two has right and the other wrong. Source: Dutta et al. 2024,
    "Accuracy is Not All You Need", arXiv:2407.09141.

    Args:
        read: the questions.
        reference: what the reference finds of every choice.
        level: the same of the level.
    """
    head = TaskScores(name=read.name, digest=read.digest, items=len(read.answers))
    for who, answers in (("the fp32 reference's", reference), ("the level's", level)):
        if answers.bad_line is not None:
            reason = f"{who} logits are not finite (line {answers.bad_line})"
            return structs.replace(head, reason=reason)
    was, now = (
        [chosen(found, sizes) for found, sizes in pairs]
        for pairs in (
            zip(answers.log_likelihoods, read.choices, strict=True)
            for answers in (reference, level)
        )
    )
    was_right, is_right = (
        [one == right for one, right in zip(choices, read.answers, strict=True)]
        for choices in (was, now)
    )
    lost = sum(a and not b for a, b in zip(was_right, is_right, strict=True))
    won = sum(b and not a for a, b in zip(was_right, is_right, strict=True))
    moved = sum(a != b for a, b in zip(was, now, strict=True)) - lost - won
    return structs.replace(
        head,
        chance=fmean(1 / len(sizes) for sizes in read.choices),
        task_accuracy=_share(sum(is_right), len(is_right)),
        reference_accuracy=_share(sum(was_right), len(was_right)),
        task_flips=_share(lost + won, len(is_right)),
        lost=lost,
        won=won,
        moved=moved,
        mcnemar_p=mcnemar_p(lost, won),
    )


def _share(count: int, items: int) -> Mean:
    """A share with Wilson's interval."""
    found = wilson_interval(count, items)
    return Mean(found.center, found.low, found.high)
