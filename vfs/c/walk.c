/* The walk of the slots that two versions do not share: the twin of only_in in vfs/storage/walk.py. */
#include "store.h"

#include <string.h>

typedef struct Walk {
    Store *store;
    const Version *version, *other;
    uint64_t born_after;
    size_t count_max;
    Supersededs *found;
} Walk;

/* Where ``other`` reaches what the node at (level, 0) of a walk reaches: ``*entry`` has no slot if it reaches nothing. */
static bool lift(Walk *walk, int level, Entry *entry, Error *error)
{
    int depth = depth_of(page_count_of(walk->other->size_bytes));
    *entry = depth > level ? walk->other->root : (Entry){0};
    for (int step = depth - 1; step > level && entry->slot; step--) { /* a deeper tree: its first child has the same span */
        const Entry *node = read_node(walk->store, entry, step, 0, error);
        if (!node) return false;
        *entry = node[0];
    }
    return true;
}

static bool is_shared(const Walk *walk, const Entry *entry, const Entry *rival)
{
    return !entry->slot || entry->birth <= walk->born_after || entry->slot == rival->slot;
}

static bool walk_below(Walk *walk, Entry entry, int level, uint32_t number, Entry rival, Error *error)
{
    if (is_shared(walk, &entry, &rival)) return true;
    if (walk->found->count >= walk->count_max)
        return fail(error, E_CORRUPTION, "version %llu reaches more than its %llu slots",
                    (unsigned long long)walk->version->version, (unsigned long long)walk->version->slot_count);
    if (!superseded_add(walk->found, entry.slot, entry.birth, walk->other->version))
        return fail(error, E_MEMORY, "out of memory");
    if (level < 0) return true;
    Entry node[FANOUT], against[FANOUT];
    const Entry *read = read_node(walk->store, &entry, level, number, error);
    if (!read) return false;
    memcpy(node, read, sizeof node); /* the pool may be mapped again, below */
    memset(against, 0, sizeof against);
    if (rival.slot) {
        read = read_node(walk->store, &rival, level, number, error);
        if (!read) return false;
        memcpy(against, read, sizeof against);
    }
    if (number == 0 && depth_of(page_count_of(walk->other->size_bytes)) == level)
        against[0] = walk->other->root; /* a shallower tree begins further down */
    for (uint32_t index = 0; index < FANOUT; index++)
        if (!is_shared(walk, &node[index], &against[index]) &&
            !walk_below(walk, node[index], level - 1, (number << FANOUT_SHIFT) + index, against[index], error))
            return false;
    return true;
}

bool walk_only_in(Store *store, const Version *version, const Version *other, uint64_t born_after, Supersededs *found,
                  Error *error)
{
    Walk walk = {store, version, other, born_after, found->count + version->slot_count, found};
    int depth = depth_of(page_count_of(version->size_bytes));
    Entry rival;
    return depth == 0 || (lift(&walk, depth - 1, &rival, error) &&
                          walk_below(&walk, version->root, depth - 1, 0, rival, error));
}
