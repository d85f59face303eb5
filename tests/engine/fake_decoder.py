"""A decoder without a model: every call moves a clock by a known number of ns and is written down.

The next token is a function of depth and the token read, so that results can be worked out.
"""

import numpy as np

PREFILL_NS = 1000  # per token fed
STEP_NS = 100  # plus the depth: a step at depth 7 takes 107
CHOOSE_NS = 5
VOCAB = 50


class FakeDecoder:
    vocab_size = VOCAB

    def __init__(self, batch=1):
        self.batch = batch
        self.now_ns = 0
        self.clock_reads = 0
        self.depth_tokens = 0
        self.history = np.zeros((200, batch), dtype=np.int64)
        self.last_logits = np.tile(np.arange(VOCAB, dtype=np.float32), (batch, 1))
        self.calls = []
        self.fed = None

    @property
    def next_ids(self):
        return self.history[self.depth_tokens]

    def chosen(self, first_tokens, count):
        return self.history[first_tokens : first_tokens + count].copy()

    def prepare_steps(self, first_tokens, steps):
        self.now_ns += 33  # not to be seen in any duration
        self.prepared = range(first_tokens, first_tokens + steps)

    def clock(self):
        self.clock_reads += 1
        return self.now_ns

    def fill(self, depth_tokens, seed):
        self.calls.append(("fill", depth_tokens, seed))
        self.depth_tokens = depth_tokens

    def rewind(self, depth_tokens):
        assert depth_tokens <= self.depth_tokens
        self.calls.append(("rewind", depth_tokens))
        self.depth_tokens = depth_tokens

    def feed(self, ids):
        self.now_ns += 77  # not to be seen in any duration
        self.fed = ids.copy()

    def run(self):
        self.calls.append(("run", self.depth_tokens, self.fed.shape[1]))
        self.now_ns += PREFILL_NS * self.fed.shape[1]
        self.depth_tokens += self.fed.shape[1]

    def pick_greedy(self):
        self.now_ns += CHOOSE_NS
        self.next_ids[...] = (self.fed.sum(axis=1) + self.depth_tokens) % VOCAB

    def greedy_step(self):
        self.calls.append(("step", self.depth_tokens, *self.next_ids.tolist()))
        self.now_ns += STEP_NS + self.depth_tokens
        assert self.depth_tokens in self.prepared
        choice = (self.next_ids + self.depth_tokens) % VOCAB
        self.depth_tokens += 1
        self.next_ids[...] = choice
