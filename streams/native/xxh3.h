/* The 64-bit XXH3 hash (seed 0) of texts of 1 to 128 bytes, by the algorithm's published description
   (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). It must give what the package xxhash gives: the ledger's
   hashes are compared across workers with and without this extension (tests/unit/native). */
#ifndef FESTIVAL_XXH3_H
#define FESTIVAL_XXH3_H

#include <stdint.h>
#include <string.h>

#define XXH3_LIMIT_BYTES 128

static const uint64_t PRIME_1 = 0x9E3779B185EBCA87u, PRIME_2 = 0xC2B2AE3D27D4EB4Fu, PRIME_3 = 0x165667B19E3779F9u;

/* The first 128 bytes of the default secret: longer texts would read on. */
static const uint8_t SECRET[128] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4,
    0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e,
    0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43,
    0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19,
    0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
    0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
    0x73, 0x64,
};

static inline uint32_t little_32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Written in one expression, which compilers turn into one load. */
static inline uint64_t little_64(const uint8_t *bytes) {
    return (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 24 |
           (uint64_t)bytes[4] << 32 | (uint64_t)bytes[5] << 40 | (uint64_t)bytes[6] << 48 | (uint64_t)bytes[7] << 56;
}

static inline uint64_t rotated(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

static inline uint64_t reversed(uint64_t word) {
    word = (word & 0x00FF00FF00FF00FFu) << 8 | (word >> 8 & 0x00FF00FF00FF00FFu);
    word = (word & 0x0000FFFF0000FFFFu) << 16 | (word >> 16 & 0x0000FFFF0000FFFFu);
    return word << 32 | word >> 32;
}

/* Both halves of a product of 128 bits, one upon the other. */
static inline uint64_t folded(uint64_t left, uint64_t right) {
#ifdef __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (left & 0xFFFFFFFFu) * (right & 0xFFFFFFFFu), high = (left >> 32) * (right >> 32);
    uint64_t cross_1 = (left >> 32) * (right & 0xFFFFFFFFu), cross_2 = (left & 0xFFFFFFFFu) * (right >> 32);
    uint64_t middle = (low >> 32) + (cross_1 & 0xFFFFFFFFu) + cross_2;
    return (middle << 32 | (low & 0xFFFFFFFFu)) ^ (high + (cross_1 >> 32) + (middle >> 32));
#endif
}

static inline uint64_t avalanche(uint64_t hash) {
    hash = (hash ^ hash >> 37) * 0x165667919E3779F9u;
    return hash ^ hash >> 32;
}

static inline uint64_t mixed_16(const uint8_t *bytes, const uint8_t *secret) {
    return folded(little_64(bytes) ^ little_64(secret), little_64(bytes + 8) ^ little_64(secret + 8));
}

static inline uint64_t xxh3_64(const uint8_t *text, size_t length) {
    uint64_t hash, low, high;
    if (length > 16) {
        hash = length * PRIME_1;
        /* Pairs of 16 bytes from both ends towards the middle. */
        for (size_t pair = (length - 1) / 32; pair > 0; pair--) {
            hash += mixed_16(text + 16 * pair, SECRET + 32 * pair);
            hash += mixed_16(text + length - 16 * (pair + 1), SECRET + 32 * pair + 16);
        }
        hash += mixed_16(text, SECRET) + mixed_16(text + length - 16, SECRET + 16);
        return avalanche(hash);
    }
    if (length > 8) {
        low = little_64(text) ^ little_64(SECRET + 24) ^ little_64(SECRET + 32);
        high = little_64(text + length - 8) ^ little_64(SECRET + 40) ^ little_64(SECRET + 48);
        return avalanche(length + reversed(low) + high + folded(low, high));
    }
    if (length > 3) {
        hash = little_32(text + length - 4) + ((uint64_t)little_32(text) << 32);
        hash ^= little_64(SECRET + 8) ^ little_64(SECRET + 16);
        hash ^= rotated(hash, 49) ^ rotated(hash, 24);
        hash *= 0x9FB21C651E98DF25u;
        hash = (hash ^ ((hash >> 35) + length)) * 0x9FB21C651E98DF25u;
        return hash ^ hash >> 28;
    }
    hash = (uint64_t)text[0] << 16 | (uint64_t)text[length >> 1] << 24 | text[length - 1] | (uint64_t)length << 8;
    hash ^= little_32(SECRET) ^ little_32(SECRET + 4);
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}

#endif
