"""The fused pass in Triton: scores stay in a chip's registers, and only what has to be judged leaves it.

A program owns a tile of queries by documents and adds up its inner products slice by slice on the tensor cores. Where a slice
ends a size, the tile is scaled by the documents' inverse norms and compared with one limit a query. Below it nothing is to
be done, which is nearly always. Beyond it each document is placed among its query's sorted thresholds by bisection: counted at
once where the filter's error cannot matter, else appended to a list for the judge.

`STEPS` (n_steps, 3) int32 is the way through the columns: first column, how many, and the size that ends there or -1.
TRITON_INTERPRET=1, set before this is imported, runs it without a GPU, slowly.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"
# Triton compiles the functions from their text: what types they have is Triton's.

import triton
import triton.language as tl

NEAR = tl.constexpr(1)
"""The document is within the band of a threshold of its query."""

TOP = tl.constexpr(2)
"""The document may be among the best of its query."""


@triton.jit
def prefix_norms2(X, STEPS, NORM2, n_docs, n_steps, stride, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """NORM2 (n_sizes, n_docs) float64 = squared norms of the prefixes of X (n_docs, stride) float32."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    real = row < n_docs
    total = tl.zeros((ROWS,), tl.float64)
    for step in range(n_steps):
        first = tl.load(STEPS + 3 * step)
        width = tl.load(STEPS + 3 * step + 1)
        size = tl.load(STEPS + 3 * step + 2)
        at = row[:, None].to(tl.int64) * stride + (first + column)[None, :]
        x = tl.load(X + at, mask=real[:, None] & (column < width)[None, :], other=0.0).to(tl.float64)
        total += tl.sum(x * x, 1)
        if size >= 0:
            tl.store(NORM2 + size.to(tl.int64) * n_docs + row, total, mask=real)


@triton.jit
def count_tiles(
    Q, X, STEPS, INVERSE, LIMIT, BAR, BAND, THRESHOLDS, BEGIN, END, OWN, PLACED, KEYS, DOCS, N_LISTED,
    n_queries, n_docs, n_pairs, n_steps, n_halvings, capacity, sign, q_stride, x_stride,
    TILE_QUERIES: tl.constexpr, TILE_DOCS: tl.constexpr, COLUMNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Place the documents X among the thresholds of the queries Q at every size; list those that need a judge.

    LIMIT, BAR, BAND (n_sizes, n_queries) float32, in the filter's scale: what does not exceed LIMIT is passed over, what exceeds
    BAR may be among the best, BAND is the filter's error. INVERSE (n_sizes, n_docs). THRESHOLDS, PLACED (n_sizes, n_pairs): a
    query's pairs are BEGIN:END, ascending. OWN (n_queries,) the query's own document in X. A listed document has the key
    size * n_queries + query and the number 4 * document + (NEAR | TOP); N_LISTED counts on where `capacity` ends, so that the
    caller sees what is missing. `sign` 1 counts, -1 takes a count back.
    """
    query = tl.program_id(0) * TILE_QUERIES + tl.arange(0, TILE_QUERIES)
    doc = tl.program_id(1) * TILE_DOCS + tl.arange(0, TILE_DOCS)
    column = tl.arange(0, COLUMNS)
    is_query, is_doc = query < n_queries, doc < n_docs
    ones = tl.full((TILE_QUERIES, TILE_DOCS), 1, tl.int32)
    own = tl.load(OWN + query, mask=is_query, other=-1)
    begin = tl.load(BEGIN + query, mask=is_query, other=0)
    n_own = (tl.load(END + query, mask=is_query, other=0) - begin).to(tl.int32)
    ranked = is_query[:, None] & is_doc[None, :] & (own[:, None] != doc[None, :])
    dot = tl.zeros((TILE_QUERIES, TILE_DOCS), tl.float32)
    for step in range(n_steps):
        first = tl.load(STEPS + 3 * step)
        width = tl.load(STEPS + 3 * step + 1)
        size = tl.load(STEPS + 3 * step + 2)
        inside = column < width
        q_at = query[:, None].to(tl.int64) * q_stride + (first + column)[None, :]
        x_at = doc[None, :].to(tl.int64) * x_stride + (first + column)[:, None]
        q = tl.load(Q + q_at, mask=is_query[:, None] & inside[None, :], other=0.0)
        x = tl.load(X + x_at, mask=is_doc[None, :] & inside[:, None], other=0.0)
        dot = tl.dot(q, x, dot, input_precision=PRECISION)
        if size >= 0:
            inverse = tl.load(INVERSE + size.to(tl.int64) * n_docs + doc, mask=is_doc, other=0.0)
            limit = tl.load(LIMIT + size * n_queries + query, mask=is_query, other=float("inf"))
            score = tl.where(ranked, dot * inverse[None, :], float("-inf"))
            if tl.max((tl.max(score, 1) > limit).to(tl.int32), 0) > 0:
                band = tl.load(BAND + size * n_queries + query, mask=is_query, other=0.0)[:, None]
                bar = tl.load(BAR + size * n_queries + query, mask=is_query, other=float("inf"))[:, None]
                pair = size.to(tl.int64) * n_pairs + begin[:, None]
                reaches = score > limit[:, None]
                low = 0 * ones  # the first threshold that the score does not surely exceed lies in low..high
                high = n_own[:, None] * ones
                for _ in range(n_halvings):
                    middle = (low + high) // 2
                    undecided = reaches & (low < high)
                    threshold = tl.load(THRESHOLDS + pair + middle, mask=undecided, other=float("inf"))
                    exceeds = undecided & (score > threshold + band)
                    high = tl.where(undecided & (score <= threshold + band), middle, high)
                    low = tl.where(exceeds, middle + 1, low)
                following = tl.load(THRESHOLDS + pair + low, mask=reaches & (low < n_own[:, None]), other=float("inf"))
                near = reaches & (score > following - band)
                sure = reaches & (score <= following - band) & (low > 0)
                tl.atomic_add(PLACED + pair + low - 1, sign * ones, mask=sure, sem="relaxed")
                top = score > bar
                listed = near | top
                if tl.max(tl.max(listed.to(tl.int32), 1), 0) > 0:
                    slot = tl.atomic_add(N_LISTED + 0 * ones, ones, mask=listed, sem="relaxed")
                    fits = listed & (slot >= 0) & (slot < capacity)
                    tl.store(KEYS + slot, (size * n_queries + query)[:, None] * ones, mask=fits)
                    kind = near.to(tl.int32) * NEAR + top.to(tl.int32) * TOP
                    tl.store(DOCS + slot, doc[None, :] * 4 + kind, mask=fits)


@triton.jit
def _half(x):
    """float64 of float32 rounded as `half_and_signs.rounded` does, without subnormal float32, which a GPU may take for 0."""
    bits = x.to(tl.uint32, bitcast=True)
    size = bits & 0x7FFFF000
    normal = ((size + 0x1000) & 0xFFFFE000).to(tl.float32, bitcast=True).to(tl.float64)
    steps = tl.floor(size.to(tl.float32, bitcast=True).to(tl.float64) * 137438953472.0 + 0.5)
    small = tl.floor((steps + 4096.0) / 8192.0) * 5.9604644775390625e-08
    value = tl.where(size < 0x38800000, small, normal)
    return tl.where(x < 0, -value, value)


@triton.jit
def judge(
    Q, X, NORMS, DIMS, KEYS, DOCS, SCORES, n, n_queries, q_stride, x_stride, zero_norm2,
    SCORING: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """SCORES[i] float32 = the score of document DOCS[i] for KEYS[i] = size * n_queries + query, rounded from float64.

    SCORING is 0 for the inner product, 1 for cosine, 2 for that of numbers in half precision: `pass_plan.DOT` and so on.

    A row's sum is taken in one order, whichever rows come with it: equal vectors score the same, as ties need.
    """
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = i < n
    key = tl.load(KEYS + i, mask=real, other=0)
    row = tl.load(DOCS + i, mask=real, other=0).to(tl.int64)
    query = (key % n_queries).to(tl.int64)
    dim = tl.where(real, tl.load(DIMS + key // n_queries, mask=real, other=0), 0)
    column = tl.arange(0, COLUMNS)
    dots = tl.zeros((ROWS, COLUMNS), tl.float64)
    squares = tl.zeros((ROWS, COLUMNS), tl.float64)
    for first in range(0, tl.max(dim, 0), COLUMNS):
        at = (first + column)[None, :]
        mask = real[:, None] & (at < dim[:, None])
        q = tl.load(Q + query[:, None] * q_stride + at, mask=mask, other=0.0).to(tl.float64)
        x = tl.load(X + row[:, None] * x_stride + at, mask=mask, other=0.0).to(tl.float64)
        dots += q * x
        squares += x * x
    score = tl.sum(dots, 1)
    if SCORING > 0:
        norm2 = tl.sum(squares, 1)
        norm = tl.load(NORMS + key, mask=real, other=0.0)
        usable = (norm2 >= zero_norm2) & (norm > 0)
        length = tl.where(usable, tl.sqrt(norm2), 1.0)
        if SCORING == 2:
            inverse = (1.0 / length).to(tl.float32)[:, None]
            dots = tl.zeros((ROWS, COLUMNS), tl.float64)
            for first in range(0, tl.max(dim, 0), COLUMNS):
                at = (first + column)[None, :]
                mask = real[:, None] & (at < dim[:, None])
                q = tl.load(Q + query[:, None] * q_stride + at, mask=mask, other=0.0).to(tl.float64)
                x = tl.load(X + row[:, None] * x_stride + at, mask=mask, other=0.0)
                dots += q * _half(x * inverse)
            score, length = tl.sum(dots, 1), tl.full((ROWS,), 1.0, tl.float64)
        score = tl.where(usable, score / tl.where(usable, length * norm, 1.0), 0.0)
    tl.store(SCORES + i, score.to(tl.float32), mask=real)
