/* Errors, growing arrays, and the map from numbers to pointers. */
#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool fail(Error *error, Kind kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->kind = kind;
    error->number = 0;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

bool fail_os(Error *error, int number, const char *action)
{
    char reason[100] = "";
    const char *text = strerror_r(number, reason, sizeof reason);
    if (number == ENOMEM) return fail(error, E_MEMORY, "%s: %s", action, text);
    fail(error, E_OS, "%s: %s", action, text);
    error->number = number;
    return false;
}

#define KEPT_ROOM 256

static bool grow_array(void **at, size_t *room, size_t needed, size_t item_bytes)
{
    if (needed <= *room) return true;
    size_t wanted = *room ? *room : 32;
    while (wanted < needed) wanted *= 2;
    void *moved = realloc(*at, wanted * item_bytes);
    if (!moved) return false;
    *at = moved;
    *room = wanted;
    return true;
}

bool slots_reserve(Slots *slots, size_t more)
{
    return grow_array((void **)&slots->at, &slots->room, slots->count + more, sizeof *slots->at);
}

bool slots_add(Slots *slots, uint32_t slot)
{
    if (!slots_reserve(slots, 1)) return false;
    slots->at[slots->count++] = slot;
    return true;
}

static int by_slot(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

void slots_sort(Slots *slots)
{
    for (size_t n = 1; n < slots->count; n++)
        if (slots->at[n - 1] > slots->at[n]) {
            qsort(slots->at, slots->count, sizeof *slots->at, by_slot);
            return;
        }
}

void slots_free(Slots *slots)
{
    free(slots->at);
    memset(slots, 0, sizeof *slots);
}

void slots_clear(Slots *slots)
{
    slots->count = 0;
    if (slots->room > KEPT_ROOM) slots_free(slots);
}

bool superseded_add(Supersededs *items, uint32_t slot, uint64_t birth, uint64_t death)
{
    if (!grow_array((void **)&items->at, &items->room, items->count + 1, sizeof *items->at)) return false;
    items->at[items->count++] = (Superseded){slot, birth, death};
    return true;
}

void superseded_free(Supersededs *items)
{
    free(items->at);
    memset(items, 0, sizeof *items);
}

void superseded_clear(Supersededs *items)
{
    items->count = 0;
    if (items->room > KEPT_ROOM) superseded_free(items);
}

bool pins_add(Pins *pins, uint64_t version)
{
    if (!grow_array((void **)&pins->at, &pins->room, pins->count + 1, sizeof *pins->at)) return false;
    pins->at[pins->count++] = version;
    return true;
}

static int by_version(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void pins_sort(Pins *pins)
{
    if (pins->count > 1) qsort(pins->at, pins->count, sizeof *pins->at, by_version);
}

uint64_t holder_of(const Pins *pins, uint64_t birth, uint64_t death)
{
    size_t low = 0, high = pins->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pins->at[middle] < birth)
            low = middle + 1;
        else
            high = middle;
    }
    return low < pins->count && pins->at[low] < death ? pins->at[low] : 0;
}

/* --- Map ---------------------------------------------------------------------------------------------------------- */
static size_t home_of(const Map *map, uint32_t key)
{
    return (size_t)(key * 2654435761u) & (map->room - 1);
}

void *map_get(const Map *map, uint32_t number)
{
    if (!map->count) return NULL;
    uint32_t key = number + 1;
    for (size_t at = home_of(map, key); map->keys[at]; at = (at + 1) & (map->room - 1))
        if (map->keys[at] == key) return map->values[at];
    return NULL;
}

static void insert(Map *map, uint32_t key, void *value)
{
    size_t at = home_of(map, key);
    while (map->keys[at] && map->keys[at] != key) at = (at + 1) & (map->room - 1);
    if (!map->keys[at]) map->count++;
    map->keys[at] = key;
    map->values[at] = value;
}

bool map_put(Map *map, uint32_t number, void *value)
{
    if (2 * (map->count + 1) > map->room) {
        Map bigger = {NULL, NULL, 0, map->room ? 2 * map->room : 16};
        bigger.keys = calloc(bigger.room, sizeof *bigger.keys);
        bigger.values = malloc(bigger.room * sizeof *bigger.values);
        if (!bigger.keys || !bigger.values) {
            map_free(&bigger);
            return false;
        }
        for (size_t at = 0; at < map->room; at++)
            if (map->keys[at]) insert(&bigger, map->keys[at], map->values[at]);
        map_free(map);
        *map = bigger;
    }
    insert(map, number + 1, value);
    return true;
}

void *map_remove(Map *map, uint32_t number)
{
    if (!map->count) return NULL;
    uint32_t key = number + 1;
    size_t at = home_of(map, key);
    while (map->keys[at] && map->keys[at] != key) at = (at + 1) & (map->room - 1);
    if (!map->keys[at]) return NULL;
    void *value = map->values[at];
    for (size_t next = at;;) { /* move back what the gap would hide */
        map->keys[at] = 0;
        for (;;) {
            next = (next + 1) & (map->room - 1);
            if (!map->keys[next]) {
                map->count--;
                return value;
            }
            size_t home = home_of(map, map->keys[next]);
            if (at <= next ? (home <= at || home > next) : (home <= at && home > next)) break;
        }
        map->keys[at] = map->keys[next];
        map->values[at] = map->values[next];
        at = next;
    }
}

void map_numbers(const Map *map, uint32_t *numbers)
{
    size_t count = 0;
    for (size_t at = 0; count < map->count; at++)
        if (map->keys[at]) numbers[count++] = map->keys[at] - 1;
    if (count > 1) qsort(numbers, count, sizeof *numbers, by_slot);
}

void map_clear(Map *map)
{
    if (map->room > 64)
        map_free(map);
    else if (map->count)
        memset(map->keys, 0, map->room * sizeof *map->keys);
    map->count = 0;
}

void map_free(Map *map)
{
    free(map->keys);
    free(map->values);
    memset(map, 0, sizeof *map);
}
