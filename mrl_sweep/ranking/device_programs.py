"""The GPU programs of a counting pass, in Triton: scores stay in registers, and only documents to be judged leave the chip.

`split_rows` prepares documents: both parts of their numbers (`device_targets`), norms. `count_tiles` is the filter: a program
owns a tile of queries by documents and adds up its inner products step by step on the tensor cores. Where a step ends a size, the
tile is scaled by the documents' inverse norms and compared with one limit a query. Below it, where nearly all tiles lie, nothing
is to be done. Beyond it the documents of the tile are counted against the sorted thresholds of each query, and each that
is closer to one than the filter's error is appended to a list. `settle` judges that list in float64 and counts it; `judge` only
scores.

STEPS (n_steps + 1, 3) int32 are the `Step`s, and a last one that is not taken. Parts are stored step by step, (n_steps, slots,
COLUMNS), so that a tile is one stretch of memory; a slot is a row, or behind the last one padding.
TRITON_INTERPRET=1, set before this is imported, runs it without a GPU, slowly; parts are float32 then, with the same numbers.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"
# Triton compiles the functions from their text: what types they have is Triton's.

import triton
import triton.language as tl

N_NEAR = tl.constexpr(0)
"""Place in STATUS (4,) int32: how many documents are listed as near a threshold."""

N_TOP = tl.constexpr(1)
"""Place in STATUS: how many are listed as perhaps among the best."""

BAD_ROW = tl.constexpr(2)
"""Place in STATUS: the first document that is not finite or too large; their number where there is none."""

VARYING = (
    *("n_rows", "n_queries", "n_docs", "n_pairs", "n_steps", "n_halvings", "n", "capacity", "top_capacity", "sign", "first_row"),
    *("zero_norm2", "largest_norm2"),
)
"""Numbers that a program is not compiled anew for."""

FEW = tl.constexpr(16)
"""Judged pairs of a query up to which a tile is counted against one after the other; more are bisected."""


@triton.jit
def _rounded(x):
    """Rounds float32 x to the nearest number that bfloat16 holds, ties to even."""
    bits = x.to(tl.uint32, bitcast=True)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).to(tl.float32, bitcast=True)


@triton.jit(do_not_specialize=VARYING)
def split_rows(
    X, STEPS, HIGH, LOW, INVERSE, ZEROS, LARGEST, STATUS, n_rows, n_slots, n_steps, stride, zero_norm2, largest_norm2,
    COSINE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Splits X (n_rows, stride) float32 into its parts HIGH and LOW; slots behind the last row hold zeros.

    INVERSE (n_sizes, n_slots) float32 scales a product: 1 over the prefix's norm for COSINE, where it is no zero vector,
    else 1. ZEROS (n_sizes,) counts the zero vectors. LARGEST (n_sizes,) are the largest norms, float32 as int32.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    real = row < n_rows
    norm2 = tl.zeros((ROWS,), tl.float64)
    for step in range(n_steps):
        first = tl.load(STEPS + 3 * step)
        width = tl.load(STEPS + 3 * step + 1)
        size = tl.load(STEPS + 3 * step + 2)
        at = row[:, None].to(tl.int64) * stride + (first + column)[None, :]
        x = tl.load(X + at, mask=real[:, None] & (column < width)[None, :], other=0.0)
        high = _rounded(x)
        slot = (row.to(tl.int64) + n_slots.to(tl.int64) * step)[:, None] * COLUMNS + column[None, :]
        tl.store(HIGH + slot, high.to(HIGH.dtype.element_ty))
        tl.store(LOW + slot, _rounded(x - high).to(LOW.dtype.element_ty))
        wide = x.to(tl.float64)
        norm2 += tl.sum(wide * wide, 1)
        if size >= 0:
            zero = norm2 < zero_norm2
            inverse = tl.full((ROWS,), 1.0, tl.float32)
            if COSINE:
                inverse = tl.where(zero, 1.0, 1.0 / tl.sqrt(tl.where(zero, 1.0, norm2))).to(tl.float32)
            else:
                largest = tl.sqrt(tl.max(norm2, 0)) * 1.000001  # float32 must not be smaller
                tl.atomic_max(LARGEST + size, largest.to(tl.float32).to(tl.int32, bitcast=True), sem="relaxed")
            tl.store(INVERSE + size.to(tl.int64) * n_slots + row, inverse)
            tl.atomic_add(ZEROS + size, tl.sum((zero & real).to(tl.int32), 0), sem="relaxed")
    bad = tl.min(tl.where(real & (norm2 < largest_norm2), n_rows, tl.where(real, row, n_rows)), 0)  # NaN is not less
    if bad < n_rows:
        tl.atomic_min(STATUS + BAD_ROW, bad, sem="relaxed")


@triton.jit
def _append(listed, key, doc, KEYS, DOCS, N, capacity):
    """Appends (key, doc) of every place of a tile that is `listed`; N counts on where `capacity` ends."""
    ones = tl.full(listed.shape, 1, tl.int32)
    slot = tl.atomic_add(N + 0 * ones, ones, mask=listed, sem="relaxed")
    fits = listed & (slot >= 0) & (slot < capacity)
    tl.store(KEYS + slot, key[:, None] * ones, mask=fits)
    tl.store(DOCS + slot, doc[None, :] * ones, mask=fits)


@triton.jit
def _one_by_one(scaled, band, pair, n_own, most, doc, THRESHOLDS, PLACED, KEYS, DOCS, N_LISTED, capacity, sign):
    """Counts a tile of scores against the thresholds of each query, one after the other, until none is reached any more."""
    p = 0
    above_last = tl.zeros(n_own.shape, tl.int32)
    threshold = tl.load(THRESHOLDS + pair, mask=n_own > 0, other=float("inf"))
    more = most > 0
    while more:
        following = tl.load(THRESHOLDS + pair + p + 1, mask=p + 1 < n_own, other=float("inf"))  # is on its way meanwhile
        upper, lower = (threshold + band)[:, None], (threshold - band)[:, None]
        both = tl.sum(tl.where(scaled > upper, 0x10001, tl.where(scaled > lower, 0x10000, 0)), 1)  # two counts in one
        n_above, n_near = both & 0xFFFF, (both >> 16) - (both & 0xFFFF)
        tl.atomic_add(PLACED + pair + p - 1, sign * (above_last - n_above), mask=above_last > n_above, sem="relaxed")
        state = tl.max(tl.where(n_near > 0, 1 + n_near, (both > 0).to(tl.int32)), 0)
        if state > 1:
            near = (scaled > lower) & (scaled <= upper)
            alone = n_near == 1
            which = tl.sum(tl.where(near, doc[None, :], 0), 1)
            slot = tl.atomic_add(N_LISTED + 0 * n_near, alone.to(tl.int32), mask=alone, sem="relaxed")
            fits = alone & (slot >= 0) & (slot < capacity)
            tl.store(KEYS + slot, pair + p, mask=fits)
            tl.store(DOCS + slot, which, mask=fits)
            if state > 2:
                _append(near & (n_near > 1)[:, None], pair + p, doc, KEYS, DOCS, N_LISTED, capacity)
        above_last = n_above
        threshold = following
        p += 1
        more = (p < most) & (state > 0)
    tl.atomic_add(PLACED + pair + p - 1, sign * above_last, mask=above_last > 0, sem="relaxed")


@triton.jit
def _bisected(
    scaled, limit, band, pair, n_own, key, doc, n_halvings, THRESHOLDS, PLACED, KEYS, DOCS, N_LISTED, capacity, sign
):  # fmt: skip
    """Places each score of a tile that exceeds its limit among the thresholds of its query."""
    ones = tl.full(scaled.shape, 1, tl.int32)
    wide_band = band[:, None]
    reaches = scaled > limit[:, None]
    low = 0 * ones  # the first threshold that the score does not surely exceed lies in low..high
    high = n_own[:, None] * ones
    for _ in range(n_halvings):
        middle = (low + high) // 2
        undecided = reaches & (low < high)
        threshold = tl.load(THRESHOLDS + pair[:, None] + middle, mask=undecided, other=float("inf"))
        exceeds = undecided & (scaled > threshold + wide_band)
        high = tl.where(undecided & (scaled <= threshold + wide_band), middle, high)
        low = tl.where(exceeds, middle + 1, low)
    following = tl.load(THRESHOLDS + pair[:, None] + low, mask=reaches & (low < n_own[:, None]), other=float("inf"))
    near = reaches & (scaled > following - wide_band)
    sure = reaches & (scaled <= following - wide_band) & (low > 0)
    tl.atomic_add(PLACED + pair[:, None] + low - 1, sign * ones, mask=sure, sem="relaxed")
    if tl.max(tl.max(near.to(tl.int32), 1), 0) > 0:
        _append(near, key, doc,
                KEYS, DOCS, N_LISTED, capacity)  # fmt: skip


@triton.jit(do_not_specialize=VARYING)
def count_tiles(
    Q_HIGH, Q_LOW, X_HIGH, X_LOW, STEPS, INVERSE, LIMIT, BAR, BAND, THRESHOLDS, BEGIN, END, OWN, PLACED,
    NEAR_KEYS, NEAR_DOCS, TOP_KEYS, TOP_DOCS, STATUS,
    n_queries, n_docs, n_pairs, n_steps, n_halvings, capacity, top_capacity, sign, q_slots, x_slots,
    TILE_QUERIES: tl.constexpr, TILE_DOCS: tl.constexpr, COLUMNS: tl.constexpr,
    BEST: tl.constexpr, MANY: tl.constexpr,
):  # fmt: skip
    """Counts the documents X above the thresholds of the queries Q at every size; lists those that need a judge.

    LIMIT, BAR, BAND (n_sizes, n_queries) float32, in the filter's scale: what does not exceed LIMIT is passed over, what exceeds
    BAR may be among the best (where any are kept, BEST), BAND is the filter's error. INVERSE (n_sizes, x_slots). THRESHOLDS,
    PLACED (n_sizes, n_pairs): a query's pairs are BEGIN:END, ascending. OWN (n_queries,) the query's own document in X.
    A document near a threshold has as key its place in THRESHOLDS, and is listed once for each; where a query has more than
    FEW pairs it is listed once, with the key ~(size * n_queries + query). One that may be among the best has the key
    size * n_queries + query. `sign` 1 counts, -1 takes a count back.
    """
    n_tall = tl.cdiv(n_queries, TILE_QUERIES)
    query = (tl.program_id(0) % n_tall) * TILE_QUERIES + tl.arange(0, TILE_QUERIES)
    doc = (tl.program_id(0) // n_tall) * TILE_DOCS + tl.arange(0, TILE_DOCS)
    column = tl.arange(0, COLUMNS)
    is_query = query < n_queries
    own = tl.load(OWN + query, mask=is_query, other=-1)
    begin = tl.load(BEGIN + query, mask=is_query, other=0)
    n_own = tl.load(END + query, mask=is_query, other=0) - begin
    most = tl.max(n_own, 0)
    left_out = (own[:, None] == doc[None, :]) | (doc >= n_docs)[None, :]
    score = tl.where(left_out, float("-inf"), 0.0)
    q_at = query[:, None] * COLUMNS + column[None, :]
    x_at = doc[None, :] * COLUMNS + column[:, None]
    nothing = tl.zeros((TILE_QUERIES, TILE_DOCS), tl.float32)
    size = tl.load(STEPS + 2)
    for step in range(n_steps):
        ends = tl.maximum(size, 0)  # what is loaded here is used below, or not at all: it is on its way meanwhile
        inverse = tl.load(INVERSE + ends.to(tl.int64) * x_slots + doc)
        limit = tl.load(LIMIT + ends * n_queries + query, mask=is_query, other=float("inf"))
        next_size = tl.load(STEPS + 3 * step + 5)
        q_step = q_slots.to(tl.int64) * COLUMNS * step
        x_step = x_slots.to(tl.int64) * COLUMNS * step
        q_high = tl.load(Q_HIGH + q_step + q_at)
        x_high = tl.load(X_HIGH + x_step + x_at)
        q_low = tl.load(Q_LOW + q_step + q_at)
        x_low = tl.load(X_LOW + x_step + x_at)
        part = tl.dot(q_low, x_high, nothing)
        part = tl.dot(q_high, x_low, part)
        score += tl.dot(q_high, x_high, part)
        if size >= 0:
            scaled = score * inverse[None, :]
            highest = tl.max(scaled, 1)
            if tl.max((highest > limit).to(tl.int32), 0) > 0:
                band = tl.load(BAND + size * n_queries + query, mask=is_query, other=0.0)
                pair = size * n_pairs + begin
                if not MANY or most <= FEW:
                    _one_by_one(scaled, band, pair, n_own, most, doc, THRESHOLDS, PLACED,
                                NEAR_KEYS, NEAR_DOCS, STATUS + N_NEAR, capacity, sign)  # fmt: skip
                else:
                    _bisected(scaled, limit, band, pair, n_own, -1 - (size * n_queries + query), doc, n_halvings, THRESHOLDS,
                              PLACED, NEAR_KEYS, NEAR_DOCS, STATUS + N_NEAR, capacity, sign)  # fmt: skip
                if BEST:
                    bar = tl.load(BAR + size * n_queries + query, mask=is_query, other=float("inf"))
                    if tl.max((highest > bar).to(tl.int32), 0) > 0:
                        _append(scaled > bar[:, None], size * n_queries + query, doc,
                                TOP_KEYS, TOP_DOCS, STATUS + N_TOP, top_capacity)  # fmt: skip
        size = next_size


@triton.jit
def _half(x):
    """Returns float64 of float32 numbers rounded as `codes.scalar.rounded` does; a GPU may take subnormal float32 for 0."""
    bits = x.to(tl.uint32, bitcast=True)
    size = bits & 0x7FFFF000
    normal = ((size + 0x1000) & 0xFFFFE000).to(tl.float32, bitcast=True).to(tl.float64)
    steps = tl.floor(size.to(tl.float32, bitcast=True).to(tl.float64) * 137438953472.0 + 0.5)  # 2^37: x * 2^-112 is subnormal
    small = tl.floor((steps + 4096.0) / 8192.0) * 5.9604644775390625e-08  # 2^-24, float16's least number
    value = tl.where(size < 0x38800000, small, normal)
    return tl.where(x < 0, -value, value)


@triton.jit
def _scores(
    Q, X, query, row, dim, norm, real, q_stride, x_stride, zero_norm2,
    SCORING: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Returns (ROWS,) float32, the scores of X[row] for Q[query] at `dim` columns, from float64; `norm` is the query's there.

    SCORING is 0 for the inner product, 1 for cosine, 2 for that of numbers in half precision: `pass_plan.DOT` and so on.
    A row's sum is taken in one order, whichever rows come with it: equal vectors score the same, as ties need.
    """
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
    return score.to(tl.float32)


@triton.jit(do_not_specialize=VARYING)
def judge(
    Q, X, NORMS, DIMS, KEYS, DOCS, SCORES, n, n_queries, q_stride, x_stride, zero_norm2,
    SCORING: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Writes to SCORES[i] float32 the score of document DOCS[i] for KEYS[i] = size * n_queries + query."""
    i = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = i < n
    key = tl.load(KEYS + i, mask=real, other=0)
    row = tl.load(DOCS + i, mask=real, other=0).to(tl.int64)
    query = (key % n_queries).to(tl.int64)
    dim = tl.where(real, tl.load(DIMS + key // n_queries, mask=real, other=0), 0)
    norm = tl.load(NORMS + key, mask=real, other=0.0)
    score = _scores(Q, X, query, row, dim, norm, real, q_stride, x_stride, zero_norm2, SCORING, ROWS, COLUMNS)
    tl.store(SCORES + i, score, mask=real)


@triton.jit(do_not_specialize=VARYING)
def settle(
    Q, X, NORMS, DIMS, KEYS, DOCS, THRESHOLDS, PAIR_ROWS, QUERY_OF, BEGIN, END, PLACED, TIED, first_row,
    n, n_queries, n_pairs, n_halvings, q_stride, x_stride, zero_norm2,
    SCORING: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Judges the first n documents that `count_tiles` listed as near, and counts each where it belongs."""
    i = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = i < n
    key = tl.load(KEYS + i, mask=real, other=0)
    row = tl.load(DOCS + i, mask=real, other=0).to(tl.int64)
    one_pair = key >= 0
    query = tl.where(
        one_pair, tl.load(QUERY_OF + key % n_pairs, mask=real & one_pair, other=0), (-1 - key) % n_queries
    )  # fmt: skip
    size = tl.where(one_pair, key // n_pairs, (-1 - key) // n_queries)
    begin = size * n_pairs + tl.load(BEGIN + query, mask=real, other=0)
    end = size * n_pairs + tl.load(END + query, mask=real, other=0)
    dim = tl.where(real, tl.load(DIMS + size, mask=real, other=0), 0)
    norm = tl.load(NORMS + size * n_queries + query, mask=real, other=0.0)
    score = _scores(
        Q, X, query.to(tl.int64), row, dim, norm, real, q_stride, x_stride, zero_norm2, SCORING, ROWS, COLUMNS
    )  # fmt: skip
    first = tl.where(one_pair, key, begin)
    low = first  # the first threshold that the score does not exceed lies in low..high
    high = tl.where(one_pair, key + 1, end)
    for _ in range(n_halvings):
        undecided = real & (low < high)
        middle = (low + high) // 2
        threshold = tl.load(THRESHOLDS + middle, mask=undecided, other=float("inf"))
        low = tl.where(undecided & (threshold < score), middle + 1, low)
        high = tl.where(undecided & (threshold >= score), middle, high)
    ones = tl.full((ROWS,), 1, tl.int32)
    beaten = real & (low > first)
    tl.atomic_add(PLACED + low - 1, ones, mask=beaten, sem="relaxed")
    tl.atomic_add(PLACED + low - 2, -ones, mask=beaten & one_pair & (key > begin), sem="relaxed")  # only `above` of `key` rises
    end = tl.where(one_pair, key + 1, end)
    ties = real & (low < end)
    more = tl.max(ties.to(tl.int32), 0) > 0
    while more:
        ties = ties & (tl.load(THRESHOLDS + low, mask=ties, other=float("inf")) == score)
        other = ties & (tl.load(PAIR_ROWS + low, mask=ties, other=0) != first_row + row)
        tl.atomic_add(TIED + low, ones, mask=other, sem="relaxed")
        low += 1
        ties = ties & (low < end)
        more = tl.max(ties.to(tl.int32), 0) > 0
