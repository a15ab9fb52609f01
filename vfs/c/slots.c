/* The allocation map: the twin of vfs/storage/slot_map.py, which has its invariants M1 to M5. */
#include "store.h"

#include <string.h>

#define PREPARED_SLOTS 256u
#define NEAR_SLOTS 4096u
#define SLACK_SLOTS 2048u
#define WINDOW_SLOTS 512u

uint16_t live_label(const Store *store)
{
    return get_word(&map_header(store)->epoch) & 1 ? LIVE_ODD : LIVE_EVEN;
}

void note_leaks(Store *store)
{
    set_word(&map_header(store)->leaks, get_word(&map_header(store)->leaks) | 1);
}

void slots_set(Store *store, const uint32_t *slots, size_t count, uint16_t state)
{
    uint16_t *states = states_of(store);
    for (size_t n = 0; n < count; n++) __atomic_store_n(&states[slots[n]], state, __ATOMIC_SEQ_CST);
}

static uint16_t state_of(const Store *store, uint64_t slot)
{
    return __atomic_load_n(&states_of(store)[slot], __ATOMIC_RELAXED);
}

typedef uint64_t __attribute__((may_alias)) FourStates;

/* Whether one of the four states from ``slot`` on, a multiple of 4, is free: no other state has a zero high byte. */
static bool has_free(const Store *store, uint64_t slot)
{
    uint64_t four = __atomic_load_n((const FourStates *)(const void *)&states_of(store)[slot], __ATOMIC_RELAXED);
    return !(four & 0xff00) || !(four & 0xff000000) || !(four & 0xff0000000000ull) || !(four >> 56);
}

/* --- under the pool lock ------------------------------------------------------------------------------------------ */
/* The first free slot in [slot, end), or end. */
static uint64_t find_free(const Store *store, uint64_t slot, uint64_t end)
{
    for (; slot < end && (slot & 3); slot++)
        if (state_of(store, slot) == FREE) return slot;
    for (; slot + 4 <= end; slot += 4)
        if (has_free(store, slot))
            for (uint64_t at = slot; at < slot + 4; at++)
                if (state_of(store, at) == FREE) return at;
    for (; slot < end; slot++)
        if (state_of(store, slot) == FREE) return slot;
    return end;
}

static uint64_t next_free(Store *store, uint64_t slot, uint64_t end)
{
    uint64_t near = slot + NEAR_SLOTS < end ? slot + NEAR_SLOTS : end;
    uint64_t found = find_free(store, slot, near);
    if (found < near || near == end) return found;
    pthread_mutex_lock(&store->guard);
    uint64_t full_from = store->full_from, full_to = store->full_to;
    if (!(full_from <= near && near <= full_to)) full_from = full_to = near;
    found = find_free(store, full_to, end);
    store->full_from = full_from;
    store->full_to = found;
    pthread_mutex_unlock(&store->guard);
    return found;
}

static bool take(Store *store, uint64_t start, uint64_t end, size_t count, uint16_t state, Slots *slots,
                 uint64_t *position, Error *error)
{
    if (!slots_reserve(slots, count)) return fail(error, E_MEMORY, "out of memory");
    uint64_t slot = start;
    while (count) {
        slot = next_free(store, slot, end);
        if (slot >= end) {
            slot = end;
            break;
        }
        for (; slot < end && count && state_of(store, slot) == FREE; slot++, count--) {
            slots_set(store, &(uint32_t){(uint32_t)slot}, 1, state);
            slots->at[slots->count++] = (uint32_t)slot;
        }
    }
    *position = slot;
    return true;
}

static bool grow(Store *store, size_t count, Error *error)
{
    return store->hooks.grow(store, count, error);
}

bool slots_take_free(Store *store, uint32_t row, size_t count, Slots *slots, Error *error)
{
    uint16_t state = (uint16_t)(RESERVED + row);
    uint64_t hint = get_word(&map_header(store)->hint), end = slot_count_of(store), position;
    size_t before = slots->count;
    if (!hint || hint > end) hint = 1; /* damaged */
    if (!take(store, hint, end, count, state, slots, &position, error)) return false;
    if (slots->count - before < count) {
        /* Frees below the hint may have lost their race to lower it: search there before growing. */
        pthread_mutex_lock(&store->guard);
        store->full_from = store->full_to = 0;
        pthread_mutex_unlock(&store->guard);
        if (!take(store, 1, end, count - (slots->count - before), state, slots, &position, error)) goto undo;
    }
    if (slots->count - before < count) {
        if (!grow(store, count - (slots->count - before), error)) goto undo;
        if (!take(store, end, slot_count_of(store), count - (slots->count - before), state, slots, &position, error))
            goto undo;
    }
    if (slots->count - before < count) {
        fail(error, E_CORRUPTION, "the new end of the pool is not free in the file 'map'");
        goto undo;
    }
    set_word(&map_header(store)->hint, position);
    return true;
undo:
    slots_give_back(store, slots->at + before, slots->count - before);
    slots->count = before;
    return false;
}

static uint64_t free_count(const Store *store, uint64_t end)
{
    uint64_t count = 0;
    for (uint64_t slot = 0; slot < end; slot++) count += state_of(store, slot) == FREE;
    return count;
}

/* The highest ``count`` contiguous free slots in [start, end); 0 if there are none. */
static uint64_t find_run(const Store *store, size_t count, uint64_t start, uint64_t end)
{
    size_t length = 0;
    for (uint64_t slot = end; slot-- > start;) {
        length = state_of(store, slot) == FREE ? length + 1 : 0;
        if (length == count) return slot;
        if (!length && !(slot & 3)) /* skip used slots four at a time */
            while (slot > start + 4 && !has_free(store, slot - 4)) slot -= 4;
    }
    return 0;
}

static uint64_t find_run_below(const Store *store, size_t count, uint64_t end)
{
    return find_run(store, count, end > WINDOW_SLOTS ? end - WINDOW_SLOTS : 1, end);
}

/* Grow for a run, although the pool has free slots: unless it has many, or its device is full. */
static bool grow_for_run(Store *store, size_t count, bool *has_grown, Error *error)
{
    uint64_t end = slot_count_of(store);
    *has_grown = false;
    if (3 * ((int64_t)free_count(store, end) - (int64_t)SLACK_SLOTS) >= (int64_t)end) return true;
    *has_grown = grow(store, count, error);
    if (*has_grown) return true;
    if (error->kind != E_POOL_FULL) return false;
    no_error(error);
    return true;
}

/* Reserve [first, after), and up to ``spare`` free slots before it. */
static bool reserve_run(Store *store, uint32_t row, uint64_t first, size_t count, size_t spare, Slots *slots,
                        Error *error)
{
    uint64_t after = first + count;
    while (first > 1 && after - first < count + spare && state_of(store, first - 1) == FREE) first--;
    if (!slots_reserve(slots, after - first)) return fail(error, E_MEMORY, "out of memory");
    for (uint64_t slot = first; slot < after; slot++) {
        slots->at[slots->count] = (uint32_t)slot;
        slots_set(store, &slots->at[slots->count++], 1, (uint16_t)(RESERVED + row));
    }
    return true;
}

bool slots_take_run(Store *store, uint32_t row, size_t count, size_t spare, uint64_t near, Slots *slots, Error *error)
{
    if (!count) return true;
    if (count > PREPARED_SLOTS) return slots_take_free(store, row, count, slots, error);
    uint64_t end = slot_count_of(store), first = find_run_below(store, count, end);
    if (!first && near <= end) first = find_run_below(store, count, near);
    if (!first) first = find_run(store, count, 1, end);
    if (!first) {
        bool has_grown;
        if (!grow_for_run(store, count, &has_grown, error)) return false;
        if (!has_grown) return slots_take_free(store, row, count, slots, error);
        first = end;
        if (slot_count_of(store) < end + count) return fail(error, E_POOL_FULL, "the page pool cannot grow");
        for (uint64_t slot = first; slot < first + count; slot++)
            if (state_of(store, slot) != FREE) return slots_take_free(store, row, count, slots, error); /* damaged */
    }
    return reserve_run(store, row, first, count, spare, slots, error);
}

bool slots_take_near_run(Store *store, uint32_t row, size_t count, size_t spare, uint64_t near, Slots *slots,
                         Error *error)
{
    /* Near the last one first: the slots in between become free one by one, and would leave no run at the end. */
    uint64_t end = slot_count_of(store), first = near <= end ? find_run_below(store, count, near) : 0;
    if (!first) first = find_run_below(store, count, end);
    if (!first) {
        bool has_grown;
        if (!grow_for_run(store, count, &has_grown, error)) return false;
        if (has_grown) first = find_run_below(store, count, slot_count_of(store));
    }
    return !first || reserve_run(store, row, first, count, spare, slots, error);
}

/* Keep the longest part of the full stretch that has none of these slots. */
static void shorten_full(Store *store, const uint32_t *slots, size_t count)
{
    uint64_t from = store->full_from, to = store->full_to;
    Slots inside = {0};
    for (size_t n = 0; n < count; n++)
        if (from <= slots[n] && slots[n] < to && !slots_add(&inside, slots[n])) {
            store->full_from = store->full_to = 0;
            slots_free(&inside);
            return;
        }
    if (inside.count) {
        slots_sort(&inside);
        uint64_t start = from, best_from = from, best_to = from;
        for (size_t n = 0; n <= inside.count; n++) {
            uint64_t stop = n < inside.count ? inside.at[n] : to;
            if (stop - start > best_to - best_from) best_from = start, best_to = stop;
            if (n < inside.count) start = inside.at[n] + 1ull;
        }
        store->full_from = best_from;
        store->full_to = best_to;
    }
    slots_free(&inside);
}

/* --- by the session that owns the slots --------------------------------------------------------------------------- */
void slots_give_back(Store *store, const uint32_t *slots, size_t count)
{
    if (!count) return;
    slots_set(store, slots, count, FREE);
    uint32_t lowest = slots[0];
    for (size_t n = 1; n < count; n++)
        if (slots[n] < lowest) lowest = slots[n];
    uint64_t *hint = &map_header(store)->hint;
    if (lowest < get_word(hint)) set_word(hint, lowest);
    pthread_mutex_lock(&store->guard);
    if (lowest < store->full_to) shorten_full(store, slots, count);
    pthread_mutex_unlock(&store->guard);
}
