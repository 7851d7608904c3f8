"""Writes models/verifier-words.txt: how common the words of two languages are, from wordfreq's lists."""
import collections
import math
import sys

import wordfreq

HEAD = """# How common a word is: tenths of the Zipf scale (log10 of occurrences per billion words), then the words.
# From wordfreq 3.1.1 (Robyn Speer, https://github.com/rspeer/wordfreq), lists large_en and small_ko (the latter morphemes),
# its data redistributable under CC BY-SA 4.0, and so is this file. Written by scripts/train-verifier words.
"""
# Language, wordfreq's list, the rarest word kept.
LISTS = (("en", "large", 3.7), ("ko", "small", 4.2))


def kept(language, word):
    if language == "ko":
        return all("\uac00" <= letter <= "\ud7a3" for letter in word)
    return len(word) > 1 and word.isascii() and word.replace("'", "").isalpha()


def main(path):
    with open(path, "w", encoding="utf-8") as out:
        out.write(HEAD)
        for language, size, rarest in LISTS:
            by_tenths = collections.defaultdict(list)
            for word, frequency in wordfreq.get_frequency_dict(language, wordlist=size).items():
                zipf = math.log10(frequency) + 9
                if zipf >= rarest and kept(language, word):
                    by_tenths[min(70, int(zipf * 5) * 2)].append(word)
            for tenths in sorted(by_tenths, reverse=True):
                words = sorted(by_tenths[tenths])
                for at in range(0, len(words), 16):
                    out.write(f"{language} {tenths} {' '.join(words[at : at + 16])}\n")


if __name__ == "__main__":
    main(sys.argv[1])
