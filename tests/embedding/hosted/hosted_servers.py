"""A local server that speaks as OpenAI, Voyage, Cohere and Gemini do, serves WordLlama's vectors, and misbehaves as told."""

from __future__ import annotations

import base64
import contextlib
import functools
import importlib.util
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from mrl_sweep.embedding.hosted.patience import Patience

CANARY = "sk-canary-4f1e9c77a2"
PROVIDERS = ["openai", "voyage", "cohere", "gemini"]
TEXTS = [f"document {i} about {'rivers and bridges ' * (i % 4)}" for i in range(40)]
QUERY = "which one?"
KEYS = ("OPENAI_API_KEY", "VOYAGE_API_KEY", "CO_API_KEY", "GEMINI_API_KEY")
FULL = {"text-embedding-3-small": 1536, "voyage-4": 2048, "embed-v4.0": 1536, "gemini-embedding-001": 3072}
MODELS = {
    "openai": "text-embedding-3-small",
    "voyage": "voyage-4",
    "cohere": "embed-v4.0",
    "gemini": "gemini-embedding-001",
}
_LOCK = threading.Lock()


@functools.cache
def _wordllama() -> tuple[Any, np.ndarray]:
    """The wheel's tokenizer and table; read directly, since importing torch would take longer than the tests."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec("wordllama")
    root = Path(next(iter(spec.submodule_search_locations or ())))
    tokens = Tokenizer.from_file(str(root / "tokenizers/l2_supercat_tokenizer_config.json"))
    tokens.no_truncation()
    tokens.no_padding()
    (table,) = load_file(root / "weights/l2_supercat_256.safetensors").values()
    return tokens, table


@functools.cache
def _mixing(dim: int) -> np.ndarray:
    return np.random.default_rng(11).standard_normal((256, dim - 256)).astype(np.float32) / 100


@functools.cache
def served_vector(text: str, dim: int) -> np.ndarray:
    """WordLlama's 256 dimensions, then mixtures of them up to the model's size; unit length."""
    with _LOCK:
        tokens, table = _wordllama()
        row = table[tokens.encode(text, add_special_tokens=False).ids].mean(axis=0, dtype=np.float32)
    row = np.concatenate([row, row @ _mixing(dim)]) if dim > 256 else row
    return (row / (np.linalg.norm(row) or 1)).astype(np.float32)


def served_vectors(texts: Iterable[str], dim: int) -> np.ndarray:
    return np.stack([served_vector(text, dim) for text in texts])


@dataclass
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    document: dict[str, Any]

    @property
    def provider(self) -> str:
        if ":batchEmbedContents" in self.path:
            return "gemini"
        if self.path.endswith("/v2/embed"):
            return "cohere"
        return "voyage" if "input_type" in self.document else "openai"

    @property
    def texts(self) -> list[str]:
        if self.provider == "gemini":
            return [entry["content"]["parts"][0]["text"] for entry in self.document["requests"]]
        return list(self.document["texts" if self.provider == "cohere" else "input"])

    @property
    def model(self) -> str:
        if self.provider == "gemini":
            return self.path.split("/models/")[1].split(":")[0]
        return str(self.document["model"])

    @property
    def dim(self) -> int | None:
        if self.provider == "gemini":
            return self.document["requests"][0].get("outputDimensionality")
        return self.document.get("dimensions", self.document.get("output_dimension"))


@dataclass
class Answer:
    """What goes out; `cut` sends only so many bytes of the body, `reset` none at all."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    cut: int | None = None
    reset: bool = False
    hold: threading.Event | None = None


Fault = Callable[[Request, Answer], Answer]


@dataclass
class Served:
    """The server. `faults` are used up one a request (None: none), then `always`; `sent` are the texts answered rightly."""

    url: str = ""
    model_dims: dict[str, int] = field(default_factory=dict)
    default_dims: dict[str, int] = field(default_factory=dict)
    most_characters: int | None = None
    most_texts: int | None = None
    requests: list[Request] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    always: Fault | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            fault = self.faults.pop(0) if self.faults else self.always
        texts = request.texts
        if self.most_texts is not None and len(texts) > self.most_texts:
            return refusal(413, f"batch size {len(texts)} > maximum allowed batch size {self.most_texts}")
        if self.most_characters is not None and any(len(text) > self.most_characters for text in texts):
            return refusal(400, "This model's maximum context length is 8192 tokens, however you requested 9000 tokens")
        right = answer = Answer(body=json.dumps(self._document(request)).encode())
        if fault is not None:
            answer = fault(request, answer)
        if answer == right:
            with self.lock:
                self.sent += texts
        return answer

    def dim_of(self, request: Request) -> int:
        full = self.model_dims.get(request.model, 256)
        return request.dim or self.default_dims.get(request.model, full)

    def _document(self, request: Request) -> dict[str, Any]:
        full = self.model_dims.get(request.model, 256)
        rows = served_vectors(request.texts, full)[:, : self.dim_of(request)]
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
        if request.provider == "gemini":
            return {"embeddings": [{"values": row.tolist()} for row in rows]}
        kind = request.document.get("embedding_types", [request.document.get("output_dtype", "float")])[0]
        if kind == "ubinary":  # eight to a byte, the first number's bit the highest
            rows = np.packbits(rows > 0, axis=1)
        elif kind == "int8":
            rows = np.clip(np.rint(rows * 500), -128, 127).astype(int)
        if request.provider == "cohere":
            return {"id": "x", "embeddings": {kind: rows.tolist()}, "meta": {"billed_units": {"input_tokens": 5}}}
        coded = request.document.get("encoding_format") == "base64"
        values = [base64.b64encode(row.astype("<f4").tobytes()).decode() if coded else row.tolist() for row in rows]
        data = [{"object": "embedding", "index": i, "embedding": value} for i, value in enumerate(values)]
        return {"object": "list", "data": data, "model": request.model, "usage": {"prompt_tokens": 5, "total_tokens": 5}}


def refusal(status: int, message: str, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": {"message": message}}).encode(), {"content-type": "application/json", **names})


def refuse(status: int, message: str = "no", **headers: str) -> Fault:
    return lambda _request, _answer: refusal(status, message, **headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        document = json.loads(self.rfile.read(length))
        answer = self.served.answer(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, document))
        if answer.hold is not None:
            answer.hold.wait(20)
            self.close_connection = True
            return
        if answer.reset:
            self.close_connection = True
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Served]:
    served = Served(**settings)
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class FakeTime:
    """A clock that only sleeping moves."""

    seconds: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)
    interrupted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, seconds: float) -> bool:
        with self.lock:
            self.slept.append(seconds)
            self.seconds += seconds
        return self.interrupted

    def now(self) -> float:
        return self.seconds

    def patience(self, **changes: Any) -> Patience:
        return Patience(**{"sleep": self.sleep, "now": self.now, "chance": lambda: 0.0, "timeout_s": 60.0, **changes})
