"""Answers of real servers as data: what each sends where a call cannot be answered, in its documented or publicly reported shape,
and what that means. The words are shortened or our own; status, names and nesting are the servers'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from mrl_sweep.embedding.hosted.replies import Meaning


class Shape(NamedTuple):
    """`says` are words of the server that the user has to see, once."""

    server: str
    status: int
    body: Any
    meaning: Meaning
    says: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def openai(
    message: str, kind: str = "invalid_request_error", code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def vllm(message: str, code: int = 400, kind: str = "BadRequestError") -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def llama(code: int, message: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


def elsewhere() -> tuple[Shape, ...]:
    """What more servers send (gateways, clouds, and other answers of the above), one a line in `answers_elsewhere.jsonl`."""
    lines = Path(__file__).with_name("answers_elsewhere.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(Shape(row["server"], row["status"], row["body"], Meaning(row["meaning"])) for row in rows)


LONG, WAIT, KEY, MODEL = Meaning.TOO_LONG, Meaning.WAIT, Meaning.KEY, Meaning.MODEL
EMPTY, ACCESS, OPTION, REFUSED, ADDRESS = Meaning.EMPTY, Meaning.ACCESS, Meaning.OPTION, Meaning.REFUSED, Meaning.ADDRESS
MEMORY = Meaning.MEMORY

SOURCES = {
    "OpenAI": (
        "https://platform.openai.com/docs/guides/error-codes",
        "https://github.com/pingcap/autoflow/issues/265",  # 400, maximum context length
        "https://github.com/SciPhi-AI/R2R/pull/768",  # 400, no dimensions
        "https://github.com/mattvr/ShellGPT/issues/23",  # 429, insufficient_quota
        "https://dev.to/sublynow/your-openai-api-429-is-not-always-a-rate-limit-reading-insufficientquota-by-errorcode-1mbl",
    ),
    "Voyage": (
        "https://github.com/assafelovic/gpt-researcher/issues/1148",  # 429 of a free tier, with a payment method in its words
        "https://github.com/sigoden/aichat/pull/825",  # 400, tokens of a batch
    ),
    "Cohere": ("https://docs.cohere.com/v1/reference/errors.md",),
    "Gemini": (
        "https://ai.google.dev/gemini-api/docs/troubleshooting",
        "https://github.com/tech-shrimp/gemini-playground/issues/10",  # 429, ErrorInfo
        "https://github.com/google-gemini/gemini-cli/issues/2020",  # 429, an error as text inside an error
    ),
    "TEI": (
        "https://github.com/letta-ai/letta/issues/1453",  # 413 of the route that speaks as OpenAI does
        "https://github.com/huggingface/text-embeddings-inference/issues/394",  # its own route
        "https://github.com/huggingface/text-embeddings-inference/issues/61",  # 424, Backend
        "https://github.com/huggingface/text-embeddings-inference/issues/350",  # out of memory
    ),
    "vLLM": (
        "https://github.com/vllm-project/vllm/issues/15465",  # 400, dimensions
        "https://github.com/mem0ai/mem0/issues/3101",  # 400, matryoshka
        "https://github.com/vllm-project/vllm/issues/19661",  # 500, a vector that holds no number
    ),
    "llama.cpp": (
        "https://github.com/containers/ramalama/pull/2852",  # 500, too large, with its batch size
        "https://github.com/ggml-org/llama.cpp/issues/11105",  # the same, before it named the size
        "https://github.com/gpustack/gpustack/issues/1845",  # llama-box: 400, n_ctx_per_seq
        "https://github.com/gpustack/gpustack/issues/1357",  # llama-box: 500, KV size
    ),
    "Ollama": (
        "https://github.com/continuedev/continue/issues/9528",  # 500, more memory than there is
        "https://github.com/nano-step/nano-brain/issues/208",  # 400, longer than the context
        "https://github.com/n8n-io/n8n/issues/11144",  # 400, an elder wording
        "https://github.com/ollama/ollama/issues/9639",  # 500, NaN
    ),
    "LM Studio": (
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/618",  # 200 with an error
        "https://github.com/tinyhumansai/openhuman/issues/3687",  # 400, no models loaded
        "https://github.com/lmstudio-ai/lms/issues/205",  # a model that is no embedding model
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/546",  # 400, the context overflows
        "https://github.com/tinyhumansai/openhuman/issues/3550",  # 400, n_keep
    ),
    "Infinity": (
        "https://github.com/michaelfeil/infinity/issues/307",  # its bounds on strings and items
        "https://github.com/theroyallab/tabbyAPI/issues/168",  # 400, a reranker is loaded
    ),
    "LiteLLM": (
        "https://github.com/BerriAI/litellm/issues/14144",  # 400 and 429, budgets
        "https://github.com/BerriAI/litellm/issues/4208",  # the same as auth_error
    ),
    "DashScope": ("https://github.com/jjyaoao/HelloAgents/issues/27",),  # 400, batch size
    "Mistral": ("https://github.com/aurelio-labs/semantic-router/issues/297",),  # 400, tokens of a batch
    "SiliconFlow": ("https://github.com/n4ze3m/page-assist/issues/371",),  # 413, batch size
    "Bedrock": (
        "https://github.com/aws-samples/amazon-bedrock-workshop/issues/136",  # 400, tokens
        "https://github.com/aws-samples/bedrock-access-gateway/issues/41",  # 400, a schema's maxLength
    ),
    "LocalAI": (
        "https://github.com/mudler/LocalAI/issues/1087",  # 500, could not load model
        "https://github.com/mudler/LocalAI/issues/4900",  # 500, backend not found
        "https://github.com/mudler/LocalAI/issues/1909",  # 500, unimplemented
    ),
    "OpenRouter": (
        "https://openrouter.ai/docs/api/reference/errors-and-debugging",
        "https://github.com/chatboxai/chatbox/issues/1486",  # 405 where nothing embeds
    ),
    "Open WebUI": ("https://github.com/open-webui/open-webui/issues/16873",),  # 400, out of memory on the device
}
"""Where the shapes were seen in public; a server's shapes without a mark are those of its documentation."""

SHAPES = (
    Shape("OpenAI", 401, openai("Incorrect API key provided", code="invalid_api_key"), KEY, "Incorrect API key"),
    Shape("OpenAI", 403, openai("Project has no access to model x", code="model_not_found"), MODEL, "no access to model x"),
    Shape("OpenAI", 403, openai("Country, region, or territory not supported", "request_forbidden"), ACCESS, "territory not"),
    Shape("OpenAI", 404, openai("The model `x` does not exist", code="model_not_found"), MODEL, "does not exist"),
    Shape(
        "OpenAI", 429, openai("You exceeded your quota", "insufficient_quota", "insufficient_quota"), EMPTY, "exceeded your quota"
    ),
    Shape("OpenAI", 429, openai("billing hard limit", "billing", "billing_hard_limit_reached"), EMPTY),
    Shape("OpenAI", 429, openai("Rate limit reached; add a payment method", "requests", "rate_limit_exceeded"), WAIT),
    Shape("OpenAI", 429, openai("Request too large: TPM: Limit 40000, Requested 60000", "tokens", "rate_limit_exceeded"), LONG),
    Shape("OpenAI", 400, openai("maximum context length is 8192 tokens, you requested 9000"), LONG, "8192 tokens"),
    Shape("OpenAI", 400, openai("too much", "max_tokens_per_request", "max_tokens_per_request"), LONG),
    Shape("OpenAI", 400, openai("array too long, at most 2048", code="array_above_max_length", param="input"), LONG),
    Shape("OpenAI", 400, openai("This model does not support specifying dimensions.", param="dimensions"), OPTION, "specifying"),
    Shape("OpenAI", 500, openai("The server had an error", "server_error"), WAIT),
    Shape("OpenAI", 503, openai("overloaded with other requests", "server_error"), WAIT),
    Shape("Voyage", 401, {"detail": "Provided API key is invalid."}, KEY, "API key is invalid"),
    Shape("Voyage", 429, {"detail": "No payment method added: reduced rate limits of 3 RPM and 10K TPM"}, WAIT),
    Shape("Voyage", 400, {"detail": "Request to model 'x' failed. The max allowed tokens per submitted batch is 120000"}, LONG),
    Shape("Voyage", 400, {"detail": "Model x is not supported. Supported models are y"}, MODEL, "is not supported"),
    Shape("Voyage", 400, {"detail": "Argument 'output_dimension' must be one of 256, 512"}, OPTION, "output_dimension"),
    Shape("Cohere", 401, {"id": "1", "message": "invalid api token"}, KEY, "invalid api token"),
    Shape("Cohere", 404, {"id": "1", "message": "model 'x' not found, make sure the correct model ID was used"}, MODEL),
    Shape("Cohere", 429, {"message": "You are using a Trial key, limited to 40 calls / minute"}, WAIT),
    Shape("Cohere", 400, {"message": "invalid request: total number of texts must be at most 96"}, LONG, "at most 96"),
    Shape("Cohere", 400, {"message": "too many tokens: total tokens cannot exceed 512"}, LONG),
    Shape("Cohere", 422, {"message": "invalid output_dimension"}, OPTION),
    Shape("Cohere", 498, {"message": "blocked input"}, REFUSED, "blocked input"),
    Shape("Gemini", 400, google(400, "INVALID_ARGUMENT", "not valid.", {"reason": "API_KEY_INVALID"}), KEY),
    Shape("Gemini", 403, google(403, "PERMISSION_DENIED", "API has not been used in project 1"), ACCESS, "has not been used"),
    Shape("Gemini", 404, google(404, "NOT_FOUND", "models/x is not found for API version v1beta"), MODEL),
    Shape("Gemini", 429, google(429, "RESOURCE_EXHAUSTED", "exceeded your current quota, check billing"), WAIT),
    Shape("Gemini", 400, google(400, "INVALID_ARGUMENT", "input token count exceeds the maximum"), LONG),
    Shape("Gemini", 400, google(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 10000 bytes."), LONG),
    Shape("Gemini", 503, google(503, "UNAVAILABLE", "The model is overloaded."), WAIT),
    Shape("Gemini", 504, google(504, "DEADLINE_EXCEEDED", "Deadline expired"), WAIT),
    Shape("TEI", 413, {"error": "`inputs` must have less than 512 tokens. Given: 992", "error_type": "Validation"}, LONG),
    Shape("TEI", 413, {"error": "batch size 40 > maximum allowed batch size 32", "error_type": "Validation"}, LONG),
    Shape("TEI", 422, {"error": "Failed to tokenize", "error_type": "Tokenizer"}, REFUSED, "Failed to tokenize"),
    Shape("TEI", 424, {"error": "model is not an embedding model", "error_type": "Backend"}, MODEL),
    Shape("TEI", 429, {"error": "Model is overloaded", "error_type": "Overloaded"}, WAIT),
    Shape("vLLM", 400, vllm("maximum context length is 512 tokens. However, you requested 992"), LONG),
    Shape("vLLM", 400, vllm("Model 'x' does not support matryoshka representation"), OPTION, "matryoshka"),
    Shape("vLLM", 400, vllm("dimensions is currently not supported"), OPTION),
    Shape("vLLM", 404, vllm("The model `x` does not exist.", 404, "NotFoundError"), MODEL),
    Shape("vLLM", 400, vllm("The model does not support Embeddings API"), MODEL),
    Shape("vLLM", 400, [{"type": "extra_forbidden", "loc": ["body", "encoding_format"], "msg": "Extra inputs"}], OPTION),
    Shape(
        "llama.cpp", 500, llama(500, "input (992 tokens) is too large to process. current batch size: 512", "server_error"), LONG
    ),
    Shape("llama.cpp", 400, llama(400, "exceeds", "exceed_context_size_error", n_prompt_tokens=992, n_ctx=512), LONG),
    Shape("llama.cpp", 501, llama(501, "Start it with `--embeddings`", "not_supported_error"), ADDRESS, "Start it with"),
    Shape("llama.cpp", 401, llama(401, "Invalid API Key", "authentication_error"), KEY),
    Shape("llama.cpp", 503, llama(503, "Loading model", "unavailable_error"), WAIT),
    Shape(
        "Ollama", 404, {"error": {"message": "model 'x' not found, try pulling it first", "type": "api_error"}}, MODEL, "pulling"
    ),
    Shape("Ollama", 400, {"error": "the input length exceeds the context length"}, LONG),
    Shape("Ollama", 404, "404 page not found", MODEL, "404 page not found"),
    Shape("Ollama", 500, {"error": "do embedding request: context deadline exceeded"}, WAIT),
    Shape("LM Studio", 200, {"error": "Unexpected endpoint or method. (POST /embeddings)"}, ADDRESS, "Unexpected endpoint"),
    Shape("LM Studio", 404, {"error": {"message": "No models loaded", "type": "invalid_request_error"}}, MODEL),
    Shape("LM Studio", 400, {"error": "Failed to load model 'x'"}, MODEL),
    Shape(
        "Infinity",
        422,
        {"detail": [{"type": "string_too_long", "loc": ["body", "input", 0], "msg": "bad", "ctx": {"max_length": 122880}}]},
        LONG,
    ),
    Shape("Infinity", 422, {"detail": [{"type": "enum", "loc": ["body", "encoding_format"], "msg": "bad"}]}, OPTION),
    Shape("Infinity", 400, openai("ModelNotDeployedError: model x not found", "invalid_model"), MODEL),
    Shape("Infinity", 401, {"detail": "Unauthorized"}, KEY),
    Shape("LocalAI", 500, llama(500, "rpc error: could not load model", ""), MODEL),
    Shape("LocalAI", 500, llama(500, "rpc error: code = Unknown desc = input is too long", ""), LONG),
    Shape("LocalAI", 500, llama(500, "rpc error: code = Unavailable desc = connection refused", ""), WAIT),
    Shape("OpenRouter", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, EMPTY, "Insufficient credits"),
    Shape("OpenRouter", 200, {"error": {"code": 502, "message": "Provider returned error"}}, WAIT),
    Shape("OpenRouter", 200, {"error": {"code": 429, "message": "Provider returned error"}}, WAIT),
    Shape("OpenRouter", 200, {"error": {"code": 404, "message": "No endpoints found for x"}}, MODEL, "No endpoints found"),
    Shape(
        "OpenRouter",
        400,
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {"raw": '{"error":{"message":"input too long"}}'},
            }
        },
        LONG,
        "input too long",
    ),
    Shape("OpenAI", 400, openai("too many", code="context_length_exceeded", param="input"), LONG),
    Shape("OpenAI", 400, openai("'$.input' is invalid. Please check the API reference"), REFUSED, "is invalid"),
    Shape("OpenAI", 401, openai("You must be a member of an organization to use the API"), KEY),
    Shape("OpenAI", 429, openai("Your account is not active", "billing_not_active", "billing_not_active"), EMPTY),
    Shape("Azure OpenAI", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}, MODEL),
    Shape("Azure OpenAI", 401, {"statusCode": 401, "message": "Unauthorized. Access token is missing"}, KEY),
    Shape("Azure OpenAI", 429, {"error": {"code": "429", "message": "Requests have exceeded token rate limit"}}, WAIT),
    Shape("Voyage", 400, {"detail": "The example at index 0 has too many tokens and does not fit the context window"}, LONG),
    Shape("Voyage", 400, {"detail": "The batch size limit is 1000. Your batch size is 1200."}, LONG),
    Shape("Voyage", 403, {"detail": "Your IP address is not allowed"}, ACCESS, "IP address"),
    Shape("Cohere", 429, {"message": "trial token rate limit exceeded, limit is 100000 tokens per minute"}, WAIT),
    Shape("Cohere", 401, {"message": "no api key supplied"}, KEY),
    Shape("Cohere", 400, {"message": "model 'x' is not supported by the embed API"}, MODEL),
    Shape("Gemini", 400, google(400, "FAILED_PRECONDITION", "User location is not supported"), ACCESS, "location"),
    Shape("Gemini", 429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded", {"reason": "RATE_LIMIT_EXCEEDED"}), WAIT),
    Shape("Gemini", 400, google(400, "INVALID_ARGUMENT", "at most 100 requests can be in one batch"), LONG),
    Shape("Gemini", 500, google(500, "INTERNAL", "An internal error has occurred"), WAIT),
    Shape("TEI", 503, {"error": "unhealthy", "error_type": "unhealthy"}, WAIT),
    Shape("TEI", 422, {"error": "Input validation error: `inputs` cannot be empty", "error_type": "Validation"}, REFUSED),
    Shape("vLLM", 400, openai("This model's maximum context length is 512 tokens", "BadRequestError", param="input"), LONG),
    Shape("vLLM", 401, {"error": "Unauthorized"}, KEY),
    Shape("vLLM", 404, {"detail": "Not Found"}, MODEL, "Not Found"),
    Shape(
        "vLLM", 500, {"error": {"message": "EngineCore encountered an issue", "type": "InternalServerError", "code": 500}}, WAIT
    ),
    Shape("llama.cpp", 404, llama(404, "File Not Found", "not_found_error"), MODEL),
    Shape("llama.cpp", 400, llama(400, "Pooling type 'none' is not OAI compatible", "invalid_request_error"), REFUSED, "Pooling"),
    Shape("Ollama", 404, {"error": 'model "x" not found, try pulling it first'}, MODEL),
    Shape("Ollama", 501, {"error": "this model does not support embeddings"}, MODEL),
    Shape("Ollama", 503, {"error": "server busy, please try again. maximum pending requests exceeded"}, WAIT),
    Shape("LM Studio", 400, {"error": "Model is not embedding"}, MODEL),
    Shape("LM Studio", 404, openai("Model x not found", code="model_not_found"), MODEL),
    Shape("Infinity", 500, {"error": {"message": "InternalServerError", "type": None, "code": 500}}, WAIT),
    Shape("Infinity", 422, {"detail": [{"type": "too_long", "loc": ["body", "input"], "ctx": {"max_length": 2048}}]}, LONG),
    Shape("LocalAI", 401, llama(401, "An authentication key is required", ""), KEY),
    Shape("LocalAI", 404, llama(404, "model 'x' not found", ""), MODEL),
    Shape("OpenRouter", 401, {"error": {"message": "No auth credentials found", "code": 401}}, KEY),
    Shape("OpenRouter", 400, {"error": {"message": "x is not a valid model ID", "code": 400}}, MODEL),
    Shape("OpenRouter", 403, {"error": {"code": 403, "message": "Key limit exceeded (total limit)"}}, EMPTY),
    Shape("OpenRouter", 408, {"error": {"code": 408, "message": "Request timed out"}}, WAIT),
    Shape("Mistral", 400, {"object": "error", "message": "Too many tokens overall, split into more batches."}, LONG),
    Shape("Jina", 402, {"detail": "Insufficient account balance"}, EMPTY),
    Shape("Jina", 422, {"detail": "Single text cannot exceed 8194 tokens. 9000 tokens given."}, LONG),
    Shape("Together", 422, openai("Input validation error: `inputs` tokens must be <= 512. Given: 992"), LONG),
    Shape("Bedrock", 429, {"__type": "ThrottlingException", "message": "Too many requests"}, WAIT),
    Shape("a gateway", 405, "", ADDRESS),
    Shape("a gateway", 413, "<html>Request Entity Too Large</html>", LONG),
    Shape("a gateway", 502, "<html>Bad Gateway</html>", WAIT),
    Shape("a gateway", 200, {"success": False, "errors": ["no route"]}, ADDRESS, "no route"),
    Shape("OpenAI", 429, openai("You exceeded your current quota", "insufficient_quota", "project_spend_limit_exceeded"), EMPTY),
    Shape("OpenAI", 429, {"error": {"message": "no prepaid credits", "code": "credit_balance_exhausted"}}, EMPTY),
    Shape("Gemini", 429, google(429, "Too Many Requests", json.dumps(google(429, "RESOURCE_EXHAUSTED", "exhausted"))), WAIT),
    Shape("TEI", 413, {"message": "`inputs` must have less than 512 tokens", "code": 413, "type": "Validation"}, LONG),
    Shape("TEI", 424, {"error": "DriverError(CUDA_ERROR_OUT_OF_MEMORY)", "error_type": "Backend"}, MEMORY, "OUT_OF_MEMORY"),
    Shape("TEI", 424, {"error": "Backend error: CublasError(CUBLAS_STATUS_NOT_SUPPORTED)", "error_type": "Backend"}, REFUSED),
    Shape("llama.cpp", 500, llama(500, "input is too large to process. increase the physical batch size", "server_error"), LONG),
    Shape("llama-box", 400, llama(400, "Illegal param: prefill 744 tokens exceed n_ctx_per_seq", "invalid_request_error"), LONG),
    Shape("llama-box", 500, llama(500, "input prompt is too big compared to KV size", "server_error"), LONG),
    Shape("Ollama", 400, {"error": "input length exceeds maximum context length"}, LONG),
    Shape("Ollama", 500, {"error": "model requires more system memory (5.3 GiB) than is available (3.3 GiB)"}, MEMORY, "5.3 GiB"),
    Shape("Ollama", 500, {"error": {"message": "model requires more system memory", "type": "api_error"}}, MEMORY),
    Shape("Ollama", 500, {"error": "llama runner process has terminated: cudaMalloc failed: out of memory"}, MEMORY),
    Shape(
        "LM Studio", 400, {"error": "No models loaded. Load a model in the developer page or by 'lms load'."}, MODEL, "lms load"
    ),
    Shape("LM Studio", 400, openai("Failed to load model x. Error: Model is not embedding.", code="model_not_found"), MODEL),
    Shape("LocalAI", 500, llama(500, "failed to load model with internal loader: backend not found", ""), MODEL),
    Shape("LocalAI", 500, llama(500, "could not load model: rpc error: code = Unavailable desc = EOF", ""), MODEL),
    Shape("LocalAI", 500, llama(500, "rpc error: code = Unknown desc = unimplemented", ""), MODEL, "unimplemented"),
    Shape("OpenRouter", 402, {"error": {"code": 402, "message": "in flight"}}, WAIT, headers=(("retry-after", "7"),)),
    Shape("OpenRouter", 503, {"error": {"code": 503, "message": "no provider meets your routing requirements"}}, WAIT),
    Shape("Open WebUI", 400, {"detail": "400: CUDA out of memory. Tried to allocate 388 MiB"}, MEMORY, "out of memory"),
)
