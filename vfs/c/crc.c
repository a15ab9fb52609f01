/* The crc32 of zlib (polynomial 0xEDB88320, reflected), by the fastest means that the processor has.
**
** x86-64: carry-less multiplication, folding 64 bytes at a time, as in V. Gopal et al., "Fast CRC Computation for
** Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009), with the constants for this polynomial.
** AArch64: the crc32 instructions.  Otherwise tables, eight bytes at a time.
*/
#include "layout.h"

#include <string.h>

static uint32_t tables[8][256];

static void fill_tables(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
        tables[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++) tables[k][n] = (tables[k - 1][n] >> 8) ^ tables[0][tables[k - 1][n] & 255];
}

/* The inner state four bytes later, if these are added to it. */
static inline uint32_t four_bytes(uint32_t word)
{
    return tables[3][word & 255] ^ tables[2][(word >> 8) & 255] ^ tables[1][(word >> 16) & 255] ^ tables[0][word >> 24];
}

/* ``crc`` is the inner state: the complement of the crc so far. */
static uint32_t portable(uint32_t crc, const uint8_t *data, size_t length)
{
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        word ^= crc;
        crc = tables[7][word & 255] ^ tables[6][(word >> 8) & 255] ^ tables[5][(word >> 16) & 255] ^
              tables[4][(word >> 24) & 255] ^ tables[3][(word >> 32) & 255] ^ tables[2][(word >> 40) & 255] ^
              tables[1][(word >> 48) & 255] ^ tables[0][word >> 56];
    }
    while (length--) crc = (crc >> 8) ^ tables[0][(crc ^ *data++) & 255];
    return crc;
}

/* The product of two polynomials, modulo that of the crc; the highest bit is x^0. */
static uint32_t portable_product(uint32_t a, uint32_t b)
{
    uint32_t sum = 0;
    for (int bit = 0; bit < 32; bit++, a <<= 1) {
        sum ^= b & -(a >> 31);
        b = (b >> 1) ^ (0xEDB88320u & -(b & 1));
    }
    return sum;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("sse4.1,pclmul"))) static uint32_t folded(uint32_t crc, const uint8_t *data, size_t length)
{
    const __m128i k1k2 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i k3k4 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i k5 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i poly = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low32 = _mm_setr_epi32(~0, 0, ~0, 0);
    __m128i x1 = _mm_loadu_si128((const __m128i *)data), x2 = _mm_loadu_si128((const __m128i *)(data + 16));
    __m128i x3 = _mm_loadu_si128((const __m128i *)(data + 32)), x4 = _mm_loadu_si128((const __m128i *)(data + 48));
    x1 = _mm_xor_si128(x1, _mm_cvtsi32_si128((int)crc));
    data += 64;
    length -= 64;
    for (; length >= 64; data += 64, length -= 64) {
        __m128i y1 = _mm_clmulepi64_si128(x1, k1k2, 0x00), y2 = _mm_clmulepi64_si128(x2, k1k2, 0x00);
        __m128i y3 = _mm_clmulepi64_si128(x3, k1k2, 0x00), y4 = _mm_clmulepi64_si128(x4, k1k2, 0x00);
        x1 = _mm_clmulepi64_si128(x1, k1k2, 0x11);
        x2 = _mm_clmulepi64_si128(x2, k1k2, 0x11);
        x3 = _mm_clmulepi64_si128(x3, k1k2, 0x11);
        x4 = _mm_clmulepi64_si128(x4, k1k2, 0x11);
        x1 = _mm_xor_si128(_mm_xor_si128(x1, y1), _mm_loadu_si128((const __m128i *)data));
        x2 = _mm_xor_si128(_mm_xor_si128(x2, y2), _mm_loadu_si128((const __m128i *)(data + 16)));
        x3 = _mm_xor_si128(_mm_xor_si128(x3, y3), _mm_loadu_si128((const __m128i *)(data + 32)));
        x4 = _mm_xor_si128(_mm_xor_si128(x4, y4), _mm_loadu_si128((const __m128i *)(data + 48)));
    }
    __m128i next[3] = {x2, x3, x4};
    for (int n = 0; n < 3; n++) {
        __m128i y = _mm_clmulepi64_si128(x1, k3k4, 0x00);
        x1 = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x1, k3k4, 0x11), next[n]), y);
    }
    for (; length >= 16; data += 16, length -= 16) {
        __m128i y = _mm_clmulepi64_si128(x1, k3k4, 0x00);
        x1 = _mm_xor_si128(_mm_clmulepi64_si128(x1, k3k4, 0x11), y);
        x1 = _mm_xor_si128(x1, _mm_loadu_si128((const __m128i *)data));
    }
    /* 128 -> 64 -> 32 bits (Barrett) */
    __m128i y = _mm_clmulepi64_si128(x1, k3k4, 0x10);
    x1 = _mm_xor_si128(_mm_srli_si128(x1, 8), y);
    y = _mm_srli_si128(x1, 4);
    x1 = _mm_clmulepi64_si128(_mm_and_si128(x1, low32), k5, 0x00);
    x1 = _mm_xor_si128(x1, y);
    y = _mm_clmulepi64_si128(_mm_and_si128(x1, low32), poly, 0x10);
    y = _mm_clmulepi64_si128(_mm_and_si128(y, low32), poly, 0x00);
    x1 = _mm_xor_si128(x1, y);
    return portable((uint32_t)_mm_extract_epi32(x1, 1), data, length);
}

__attribute__((target("sse4.1,pclmul"))) static uint32_t folded_product(uint32_t a, uint32_t b)
{
    __m128i whole = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b), 0x00);
    uint64_t bits = (uint64_t)_mm_cvtsi128_si64(whole) << 1;
    return four_bytes((uint32_t)bits) ^ (uint32_t)(bits >> 32);
}

static bool has_folding(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}
#define FOLDED_NAME "pclmul"

#elif defined(__aarch64__) && defined(__linux__)
#define folded_product portable_product
#include <sys/auxv.h>

__attribute__((target("+crc"))) static uint32_t folded(uint32_t crc, const uint8_t *data, size_t length)
{
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        crc = __builtin_aarch64_crc32x(crc, word);
    }
    while (length--) crc = __builtin_aarch64_crc32b(crc, *data++);
    return crc;
}

static bool has_folding(void)
{
    return getauxval(AT_HWCAP) & (1 << 7); /* HWCAP_CRC32 */
}
#define FOLDED_NAME "crc32 instructions"

#else
#define folded_product portable_product
static uint32_t folded(uint32_t crc, const uint8_t *data, size_t length)
{
    return portable(crc, data, length);
}

static bool has_folding(void)
{
    return false;
}
#define FOLDED_NAME "tables"
#endif

static bool uses_folding;

/* --- a change of a node ------------------------------------------------------------------------------------------- */
/* A crc is linear: those of two nodes differ by that of their difference, which is zero but for one entry.  Each byte of
** zeros behind that multiplies the polynomial by x^8. */
static uint32_t behind_entries[FANOUT]; /* x^(128 n) */

static void fill_behind_entries(void)
{
    static const uint8_t zeros[sizeof(Entry)];
    uint32_t entry = portable(0x80000000u, zeros, sizeof zeros);
    behind_entries[0] = 0x80000000u;
    for (unsigned n = 1; n < FANOUT; n++) behind_entries[n] = portable_product(behind_entries[n - 1], entry);
}

__attribute__((constructor)) static void prepare(void)
{
    uses_folding = has_folding();
    fill_tables();
    fill_behind_entries();
}

uint32_t crc32_of_change(const Entry *from, const Entry *to, unsigned behind)
{
    uint64_t before[2], after[2];
    memcpy(before, from, sizeof before);
    memcpy(after, to, sizeof after);
    for (int n = 0; n < 2; n++) after[n] ^= before[n];
    uint32_t difference = portable(0, (const uint8_t *)after, sizeof after), behind_it = behind_entries[behind];
    return uses_folding ? folded_product(difference, behind_it) : portable_product(difference, behind_it);
}

uint32_t crc32_of(const void *data, size_t length)
{
    if (uses_folding && length >= 64) return ~folded(~0u, data, length);
    return ~portable(~0u, data, length);
}

const char *crc32_implementation(void)
{
    return uses_folding ? FOLDED_NAME : "tables";
}
