"""Writes the reference embeddings of all-MiniLM-L6-v2. Development-time only.

    python tests/runner/quality/make_minilm_reference.py FOLDER

FOLDER is the model's Hugging Face folder. Needs torch and transformers (made with 2.13.0 and
5.23.0). tests/fixtures/minilm_reference.json holds, for every text of TEXTS, its token ids and the
sentence embedding that torch computes in float32: the mean over tokens, of length 1.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertModel

FIXTURE = Path(__file__).parents[2] / "fixtures" / "minilm_reference.json"
TEXTS = (
    "Bread keeps best in a closed box.",
    "How long does bread stay fresh?",
    "The moon turns once around itself in a month.",
    "서울에서 부산까지 기차로 두 시간 반쯤 걸린다.",
    "A quantized model reads less memory for every word, which is why it answers sooner; what it "
    "loses on the way must be measured, and not taken from the label on the box.",
)


def main(folder: Path) -> None:
    """Embed every text alone, without filling."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder)
    rows = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = model.float().eval()(**inputs).last_hidden_state
        embedding = torch.nn.functional.normalize(hidden.mean(dim=1), dim=-1)[0]
        values = [round(value, 7) for value in embedding.tolist()]
        rows.append({"text": text, "ids": inputs["input_ids"][0].tolist(), "embedding": values})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    FIXTURE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
