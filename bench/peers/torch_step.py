"""The joint ELECTRA pre-training step in PyTorch, with Hugging Face's models: the peer of `galvani bench step`.

    python torch_step.py answer QUESTION [--precision float64] …   losses and gradient norms of some steps, dropout off
    python torch_step.py time   QUESTION [--steps 9] …             how long a step takes, dropout on

QUESTION is a folder that question.ts writes: settings, first weights, batches. Prints one JSON object.
As strong as it gets without leaving Hugging Face's models: the output layer runs at the masked places alone, a batch of
full rows needs no attention mask, and what a loader would do (masking, token types) is done before the clock starts.
Of forms that do the same, the default is the fastest found on two cores [measured at Small, B 16, T 128, on a loaded
machine, the best of 15 and 25]: AdamW fused 24 ms, foreach 112; samples by one uniform a place and the running sum of
the softmax 47 ms, by Gumbel noise 118, torch.multinomial 516.
Keep TensorFlow out of this process: the two together abort.
"""
import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

LOSS_EPSILON = 1e-6
IGNORED = -100


class Joint(torch.nn.Module):
    """Both models over one set of embeddings. forward: a batch → the two losses."""

    def __init__(self, config: dict, attention: str, sampling: str):
        super().__init__()
        self.generator = ElectraForMaskedLM(electra_config(config["model"]["generator"], attention))
        self.discriminator = ElectraForPreTraining(electra_config(config["model"]["discriminator"], attention))
        embeddings = self.discriminator.electra.embeddings
        embeddings.word_embeddings.padding_idx = None  # else the gradient of [PAD]'s row as an output would be lost
        self.generator.electra.embeddings = embeddings
        self.generator.generator_lm_head.weight = embeddings.word_embeddings.weight
        self.temperature = config["temperature"]
        self.sampling = sampling

    def forward(self, batch: dict, given: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        rows = {"attention_mask": batch["mask"], "token_type_ids": batch["types"]}
        states = self.generator.electra(batch["masked_ids"], **rows).last_hidden_state
        places = batch["places"]
        at_places = states.gather(1, places.unsqueeze(-1).expand(-1, -1, states.shape[-1]))
        hidden = self.generator.generator_predictions(at_places)
        logits = at_least_float32(self.generator.generator_lm_head(hidden))
        targets = batch["targets"]
        mlm = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")

        sampled = self.sample(logits.detach()) if given is None else given
        originals = batch["ids"].gather(1, places)
        corrupted = batch["ids"].scatter(1, places, torch.where(targets == IGNORED, originals, sampled))
        scores = at_least_float32(self.discriminator(corrupted, **rows).logits)
        labels = (corrupted != batch["ids"]).to(scores.dtype)
        rtd = F.binary_cross_entropy_with_logits(scores, labels, batch["weights"], reduction="sum")
        masked, tokens = batch["denominators"]
        return mlm / (masked + LOSS_EPSILON), rtd / (tokens + LOSS_EPSILON)

    def sample(self, logits: torch.Tensor) -> torch.Tensor:
        """One id a place from the softmax."""
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.sampling == "gumbel":
            return torch.rand_like(logits).clamp_(1e-9).log_().neg_().log_().neg_().add_(logits).argmax(-1)
        sums = logits.softmax(-1).cumsum_(-1)
        uniform = torch.rand(*sums.shape[:-1], 1, device=sums.device) * sums[..., -1:]
        return torch.searchsorted(sums, uniform).clamp_(max=sums.shape[-1] - 1).squeeze(-1)


class Training:
    """A Joint with its optimizer, and the step that is timed."""

    def __init__(self, question: "Question", options: argparse.Namespace, has_dropout: bool):
        self.config = question.config
        self.device = torch.device(options.device)
        self.precision = options.precision
        self.joint = Joint(self.config, options.attention, options.sampling)
        if not has_dropout:
            for module in self.joint.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
        self.parameters = question.read_weights(self.joint)
        self.joint.to(self.device, torch.float64 if self.precision == "float64" else torch.float32).train()
        self.losses = torch.compile(self.joint, dynamic=False) if options.compile else self.joint
        self.optimizer = self.make_optimizer(options.optimizer, question.rate)

    def make_optimizer(self, kind: str, rate: float) -> torch.optim.AdamW:
        def is_decayed(name: str) -> bool:
            return not any(word in name for word in ("LayerNorm", "layer_norm", "bias"))

        groups = [
            {"params": [p for name, p in self.parameters.items() if is_decayed(name) == decayed], "weight_decay": decay}
            for decayed, decay in ((True, self.config["weight_decay"]), (False, 0.0))
        ]
        betas = (self.config["adam_beta1"], self.config["adam_beta2"])
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=self.config["adam_epsilon"], **{kind: True})

    def step(self, batch: dict, given: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """→ both losses and the norm of the gradients before clipping, still on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            mlm, rtd = self.losses(batch, given)
        total = self.config["gen_weight"] * mlm + self.config["disc_weight"] * rtd
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config["max_grad_norm"], foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return mlm.detach(), rtd.detach(), norm


class Question:
    """Settings, first weights and batches, as question.ts wrote them."""

    def __init__(self, folder: Path):
        settings = json.loads((folder / "question.json").read_text())
        self.config = settings["training"]
        self.rate = settings["rate"]
        self.folder = folder
        self.planes = {name: plane.long() for name, plane in load_file(folder / "batches.safetensors").items()}

    @property
    def batches(self) -> int:
        return self.planes["ids"].shape[0]

    def read_weights(self, joint: Joint) -> dict[str, torch.nn.Parameter]:
        """Every parameter once, under its name in the file; what the two sides lack or have too much is an error."""
        ours = load_file(self.folder / "weights.safetensors")
        parameters = {shared_name(name): parameter for name, parameter in joint.named_parameters()}
        if parameters.keys() != ours.keys():
            sys.exit(f"weights: expected {sorted(parameters)}, got {sorted(ours)}")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(ours[name])
        return parameters

    def batch(self, number: int, device: torch.device) -> tuple[dict, torch.Tensor]:
        """What a PyTorch loader would give, and the replacements to use where nothing is to be drawn."""
        ids, lengths, seconds, places, seen, counts, given = (
            self.planes[name][number] for name in ("ids", "lengths", "seconds", "places", "seen", "counts", "given")
        )
        at = torch.arange(ids.shape[1])
        real = at < lengths[:, None]
        is_used = torch.arange(places.shape[1]) < counts[:, None]
        # Unused slots are at place 0, which is [CLS] and never masked: what they write there is what stands there.
        originals = ids.gather(1, places)
        batch = {
            "ids": ids,
            "masked_ids": ids.scatter(1, places, torch.where(is_used, seen, originals)),
            "places": places,
            "targets": torch.where(is_used, originals, IGNORED),
            "types": (real & (at >= seconds[:, None])).long(),
            "mask": None if real.all() else real.long(),
            "weights": real.float(),
            "denominators": (float(counts.sum()), float(lengths.sum())),
        }
        tensors = {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
        return {**batch, **tensors}, given.to(device)


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


def electra_config(config: dict, attention: str) -> ElectraConfig:
    return ElectraConfig(**config, attn_implementation=attention)


def shared_name(name: str) -> str:
    """The name in the file: `discriminator.electra.embeddings.…` belongs to both models."""
    return name.replace("generator.electra.embeddings.", "shared.electra.embeddings.", 1)


def answer(question: Question, options: argparse.Namespace) -> dict:
    """Every step is a batch of its own, with given replacements: all that is random is out of it."""
    training = Training(question, options, has_dropout=False)
    steps = []
    for number in range(options.steps):
        mlm, rtd, norm = training.step(*question.batch(number % question.batches, training.device))
        steps.append({"mlmLoss": mlm.item(), "rtdLoss": rtd.item(), "gradientNorm": norm.item()})
    return {"steps": steps, **facts(training)}


def measure(question: Question, options: argparse.Namespace) -> dict:
    """Median and best of the steps behind a first round over the batches, which warms up, and compiles where asked to."""
    training = Training(question, options, has_dropout=True)
    batches = [question.batch(number, training.device)[0] for number in range(question.batches)]
    clock = CudaClock() if training.device.type == "cuda" else HostClock()
    for number in range(len(batches) + options.steps):
        if number >= len(batches):
            clock.mark()
        training.step(batches[number % len(batches)])
    clock.mark()
    times = clock.times()
    return {"stepMs": statistics.median(times), "bestMs": min(times), "steps": len(times), **facts(training)}


class HostClock:
    def __init__(self):
        self.marks: list[float] = []

    def mark(self):
        self.marks.append(1000 * time.perf_counter())

    def times(self) -> list[float]:
        return [after - before for before, after in zip(self.marks, self.marks[1:])]


class CudaClock:
    """Events in the stream: the host runs ahead of the device, as in training."""

    def __init__(self):
        self.marks: list[torch.cuda.Event] = []

    def mark(self):
        self.marks.append(torch.cuda.Event(enable_timing=True))
        self.marks[-1].record()

    def times(self) -> list[float]:
        torch.cuda.synchronize()
        return [before.elapsed_time(after) for before, after in zip(self.marks, self.marks[1:])]


def facts(training: Training) -> dict:
    is_cuda = training.device.type == "cuda"
    return {
        "parameters": sum(parameter.numel() for parameter in training.parameters.values()),
        "peakResidentBytes": peak_resident_bytes(),
        **({"peakDeviceBytes": torch.cuda.max_memory_allocated()} if is_cuda else {}),
        "device": torch.cuda.get_device_name() if is_cuda else "cpu",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def peak_resident_bytes() -> int:
    """Linux: VmHWM, which unlike ru_maxrss does not begin with the size of the process that started this one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["answer", "time"])
    parser.add_argument("question", type=Path)
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--precision", choices=["float32", "bfloat16", "float64"], default="float32")
    parser.add_argument("--optimizer", choices=["foreach", "fused"], default="fused")
    parser.add_argument("--sampling", choices=["inverse", "gumbel"], default="inverse")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, as TensorFlow has it by default
    question = Question(options.question)
    print(json.dumps((answer if options.task == "answer" else measure)(question, options)))


if __name__ == "__main__":
    main()
