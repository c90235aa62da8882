"""Hosted models: one `HostedModel` for every vendor, one file for what each vendor wants and answers.

Which client speaks to whom was weighed by what it brings along:

* OpenAI, and every server that speaks as it does, through `openai`: it shares httpx2 with huggingface_hub, adds two small
  packages, and knows the organisation, project and proxy settings its users already have.
* Voyage through httpx2: its own client brings langchain, aiohttp and about thirty packages for one POST.
* Cohere through httpx2: its own client brings fastavro, requests and a tokenizer download for one POST.
* Gemini through httpx2: its own client brings google-auth, cryptography and websockets for one POST.

Whoever sends, nobody else retries, follows a redirect or reads the answer: `retries`, `replies` and `wire` do that for all.
"""
