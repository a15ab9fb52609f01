/* The copy-on-write page table: the twin of vfs/storage/page_table.py, which has its invariants T1 to T3.
**
** A node in the pool is read as an array of 256 entries.  Nodes are changed in copies only (T1).
*/
#include "store.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(Entry) * FANOUT == SLOT_BYTES, "a node fills a slot");

static const Entry hole;
#define CHANGES_MAX 5 /* what more changes cost is more than a new crc of the node does */

/* --- looking up --------------------------------------------------------------------------------------------------- */
static const Entry *node_at(Store *store, uint32_t slot, Error *error)
{
    return (const Entry *)(const void *)read_slot(store, slot, error);
}

bool find_page(Store *store, const Entry *root, int depth, uint32_t page, Entry *entry, Error *error)
{
    Entry at = *root;
    for (int level = depth - 1; level >= 0 && at.slot; level--) {
        const Entry *node = node_at(store, at.slot, error);
        if (!node) return false;
        at = node[(page >> (level * FANOUT_SHIFT)) & (FANOUT - 1)];
    }
    if (at.slot && at.slot >= slot_count_of(store))
        return fail(error, E_CORRUPTION, "page %u names slot %u, past the end of the pool (%llu slots)", page, at.slot,
                    (unsigned long long)slot_count_of(store));
    *entry = at;
    return true;
}

const Entry *read_node(Store *store, const Entry *entry, int level, uint32_t number, Error *error)
{
    const Entry *node = node_at(store, entry->slot, error);
    if (node && crc32_of(node, SLOT_BYTES) != entry->crc) {
        fail(error, E_CORRUPTION,
             "slot %u (page table, level %d, number %u, born in version %llu) fails its checksum", entry->slot, level,
             number, (unsigned long long)entry->birth);
        return NULL;
    }
    return node;
}

/* The node that an entry names, for editing: slots and births are checked too, since they decide what is written to
** and what is freed.  A published node has no entry born in the version that is being written (T2). */
static const Entry *read_to_edit(Editor *editor, const Entry *entry, int level, uint32_t number, Error *error)
{
    const Entry *node = read_node(editor->store, entry, level, number, error);
    int64_t last_slot = (int64_t)slot_count_of(editor->store) - 1, last_birth = (int64_t)editor->new_version - 1;
    int64_t negative = 0; /* if any of these numbers is too large, without a branch for every entry */
    for (uint32_t index = 0; node && index < FANOUT; index++) {
        int64_t birth = (int64_t)node[index].birth;
        negative |= (last_slot - node[index].slot) | (last_birth - birth) | birth;
    }
    if (negative >= 0) return node;
    fail(error, E_CORRUPTION, "slot %u (page table, level %d, number %u) names a slot past the end of the pool, or a "
         "version that is not published", entry->slot, level, number);
    return NULL;
}

/* --- editing ------------------------------------------------------------------------------------------------------ */
void editor_begin(Editor *editor, Store *store, const Version *base, uint64_t new_version)
{
    editor->store = store;
    editor->new_version = new_version;
    editor->root = base->root;
    editor->depth = depth_of(page_count_of(base->size_bytes));
    editor->superseded.count = 0;
    editor->discarded.count = 0;
    editor->added_count = 0;
}

static Node **kept_place(Editor *editor, int level, uint32_t number)
{
    return &editor->kept[(number + (uint32_t)level * (KEPT_NODES / DEPTH_MAX)) % KEPT_NODES];
}

/* Forget all edits; the nodes may be kept if they were published as they are. */
static void forget_nodes(Editor *editor, bool keeps)
{
    for (int level = 0; level < DEPTH_MAX; level++) {
        Map *map = &editor->dirty[level];
        size_t left = map->count;
        for (size_t at = 0; left; at++) {
            if (!map->keys[at]) continue;
            left--;
            Node *node = map->values[at];
            if (keeps) {
                Node **place = kept_place(editor, level, node->number), *former = *place;
                *place = node;
                node = former;
            }
            free(node);
        }
        map_clear(map);
    }
}

void editor_end(Editor *editor, bool is_published)
{
    forget_nodes(editor, is_published);
}

void editor_forget_kept(Editor *editor)
{
    for (int at = 0; at < KEPT_NODES; at++) {
        free(editor->kept[at]);
        editor->kept[at] = NULL;
    }
}

void editor_free(Editor *editor)
{
    forget_nodes(editor, false);
    editor_forget_kept(editor);
    for (int level = 0; level < DEPTH_MAX; level++) map_free(&editor->dirty[level]);
    superseded_free(&editor->superseded);
    slots_free(&editor->discarded);
}

static Node *new_node(Editor *editor, int level, uint32_t number, const Entry *entry, const Entry *children,
                      Error *error)
{
    Node *node = malloc(sizeof *node);
    if (!node || !map_put(&editor->dirty[level], number, node)) {
        free(node);
        fail(error, E_MEMORY, "out of memory");
        return NULL;
    }
    node->entry = *entry;
    node->level = level;
    node->number = number;
    node->crc = entry->crc;
    node->change_count = children ? 0 : CHANGES_MAX + 1;
    if (children)
        memcpy(node->children, children, SLOT_BYTES);
    else
        memset(node->children, 0, SLOT_BYTES);
    return node;
}

static void change_child(Node *node, uint32_t number, Entry to)
{
    uint32_t index = number & (FANOUT - 1);
    if (node->change_count <= CHANGES_MAX && ++node->change_count <= CHANGES_MAX)
        node->crc ^= crc32_of_change(&node->children[index], &to, FANOUT - 1 - index);
    node->children[index] = to;
}

/* The node that an entry names, if this editor has written it and kept its copy: a node of the same level, number, birth
** and checksum in the same slot has the same bytes, and they were checked when they were first read. */
static Node *take_kept(Editor *editor, int level, uint32_t number, const Entry *entry)
{
    Node **place = kept_place(editor, level, number), *node = *place;
    if (!node || node->level != level || node->number != number || memcmp(&node->entry, entry, sizeof *entry) != 0)
        return NULL;
    *place = NULL;
    node->crc = entry->crc;
    node->change_count = 0;
    return node;
}

/* The dirty copy of a node; its parents, which will name the copy, become dirty too. */
static Node *edit(Editor *editor, int level, uint32_t number, Error *error)
{
    Node *node = map_get(&editor->dirty[level], number);
    if (node) return node;
    Entry entry;
    if (level == editor->depth - 1) {
        entry = editor->root;
    } else {
        Node *parent = edit(editor, level + 1, number >> FANOUT_SHIFT, error);
        if (!parent) return NULL;
        entry = parent->children[number & (FANOUT - 1)];
    }
    const Entry *children = NULL;
    if (entry.slot) {
        node = take_kept(editor, level, number, &entry);
        if (node && map_put(&editor->dirty[level], number, node)) return node;
        free(node);
        children = read_to_edit(editor, &entry, level, number, error);
        if (!children) return NULL;
    }
    return new_node(editor, level, number, &entry, children, error);
}

Node *editor_leaf(Editor *editor, uint32_t number, Error *error)
{
    return edit(editor, 0, number, error);
}

bool editor_is_unchanged(const Editor *editor)
{
    return !editor_node_count(editor) && !editor->superseded.count;
}

bool editor_grow(Editor *editor, uint64_t page_count, Error *error)
{
    int depth = depth_of(page_count);
    while (editor->depth < depth) {
        Entry old = editor->root;
        editor->depth++;
        if (editor->depth > 1 && (old.slot || map_get(&editor->dirty[editor->depth - 2], 0))) {
            Node *top = new_node(editor, editor->depth - 1, 0, &hole, NULL, error);
            if (!top) return false;
            change_child(top, 0, old);
        }
        editor->root = hole;
    }
    return true;
}

/* Record that the new version no longer reaches a slot. */
static bool drop(Editor *editor, uint32_t slot, uint64_t birth, Error *error)
{
    bool kept = birth == editor->new_version ? slots_add(&editor->discarded, slot)
                                             : superseded_add(&editor->superseded, slot, birth, 0);
    editor->added_count--;
    return kept || fail(error, E_MEMORY, "out of memory");
}

bool editor_set_page(Editor *editor, uint32_t page, uint32_t slot, uint32_t crc, Error *error)
{
    Node *leaf = editor_leaf(editor, page >> FANOUT_SHIFT, error);
    if (!leaf) return false;
    const Entry *entry = &leaf->children[page & (FANOUT - 1)];
    if (entry->slot != slot) {
        if (entry->slot && !drop(editor, entry->slot, entry->birth, error)) return false;
        editor->added_count++;
    }
    change_child(leaf, page, (Entry){slot, crc, editor->new_version});
    return true;
}

/* --- truncating --------------------------------------------------------------------------------------------------- */
static bool drop_subtree(Editor *editor, int level, uint32_t number, Entry entry, Error *error)
{
    if (level >= 0) {
        Node *node = map_remove(&editor->dirty[level], number);
        const Entry *children = node ? node->children : NULL;
        if (!node && entry.slot && !(children = read_to_edit(editor, &entry, level, number, error))) return false;
        uint32_t first = number << FANOUT_SHIFT;
        bool done = true;
        for (uint32_t index = 0; done && children && index < FANOUT; index++)
            if (children[index].slot || (level > 0 && map_get(&editor->dirty[level - 1], first + index)))
                done = drop_subtree(editor, level - 1, first + index, children[index], error);
        if (node) entry = node->entry;
        free(node);
        if (!done) return false;
    }
    return !entry.slot || drop(editor, entry.slot, entry.birth, error);
}

static bool truncate_below(Editor *editor, int level, uint32_t number, Entry entry, uint64_t page_count, Error *error)
{
    if (level < 0) return true;
    Node *node = map_get(&editor->dirty[level], number);
    if (!entry.slot && !node) return true;
    int span_shift = level * FANOUT_SHIFT;
    uint64_t first = (uint64_t)number << FANOUT_SHIFT;
    uint64_t keep_whole = page_count >> span_shift; /* children before this number stay whole */
    bool partial = level && (page_count & ((1ull << span_shift) - 1));
    const Entry *children = node ? node->children : read_to_edit(editor, &entry, level, number, error);
    if (!children) return false;
    for (uint32_t index = 0; index < FANOUT; index++) {
        uint64_t child_number = first + index;
        if (child_number < keep_whole) continue;
        Entry child = children[index];
        if (level && child_number == keep_whole && partial) {
            if (!truncate_below(editor, level - 1, (uint32_t)child_number, child, page_count, error)) return false;
            node = map_get(&editor->dirty[level], number); /* an edit below may have copied this node */
            if (node) children = node->children;
            continue;
        }
        if (!child.slot && !(level > 0 && map_get(&editor->dirty[level - 1], (uint32_t)child_number))) continue;
        if (!drop_subtree(editor, level - 1, (uint32_t)child_number, child, error)) return false;
        if (!node && !(node = edit(editor, level, number, error))) return false;
        children = node->children;
        change_child(node, index, hole);
    }
    return true;
}

/* Remove the root's level: its first child becomes the root. */
static bool pop_root(Editor *editor, Error *error)
{
    int level = editor->depth - 1;
    Node *top = map_remove(&editor->dirty[level], 0);
    Entry old = top ? top->entry : editor->root;
    const Entry *children = top ? top->children : NULL;
    if (level && !top && old.slot && !(children = read_to_edit(editor, &old, level, 0, error))) return false;
    editor->root = level && children ? children[0] : hole;
    free(top);
    editor->depth--;
    return !old.slot || drop(editor, old.slot, old.birth, error);
}

bool editor_truncate(Editor *editor, uint64_t page_count, Error *error)
{
    if (!truncate_below(editor, editor->depth - 1, 0, editor->root, page_count, error)) return false;
    int depth = depth_of(page_count);
    while (editor->depth > depth)
        if (!pop_root(editor, error)) return false;
    return true;
}

/* --- sealing ------------------------------------------------------------------------------------------------------ */
size_t editor_node_count(const Editor *editor)
{
    size_t count = 0;
    for (int level = 0; level < DEPTH_MAX; level++) count += editor->dirty[level].count;
    return count;
}

static bool seal_node(Editor *editor, int level, Node *node, PlaceNode place, void *context, Error *error)
{
    uint32_t crc = node->change_count <= CHANGES_MAX ? node->crc : crc32_of(node->children, SLOT_BYTES);
    Entry entry = {0, crc, editor->new_version};
    if (node->entry.slot && !drop(editor, node->entry.slot, node->entry.birth, error)) return false;
    editor->added_count++;
    if (!place(context, node, &entry.slot)) return fail(error, E_MEMORY, "out of memory");
    node->entry = entry;
    if (level == editor->depth - 1) {
        editor->root = entry;
        return true;
    }
    Node *parent = edit(editor, level + 1, node->number >> FANOUT_SHIFT, error);
    if (!parent) return false;
    change_child(parent, node->number, entry);
    return true;
}

bool editor_seal(Editor *editor, PlaceNode place, void *context, Error *error)
{
    for (int level = 0; level < editor->depth; level++) {
        size_t count = editor->dirty[level].count;
        uint32_t few[16], *numbers = few;
        if (count > 16 && !(numbers = malloc(count * sizeof *numbers))) return fail(error, E_MEMORY, "out of memory");
        map_numbers(&editor->dirty[level], numbers);
        bool done = true;
        for (size_t n = 0; done && n < count; n++)
            done = seal_node(editor, level, map_get(&editor->dirty[level], numbers[n]), place, context, error);
        if (numbers != few) free(numbers);
        if (!done) return false;
    }
    return true;
}
