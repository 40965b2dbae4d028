"""The compiled part, which is optional: built where a C compiler is (setuptools, Cython), and done without elsewhere.

It knows no rule of its own: what it takes, `streams.domain.decoding` and aiokafka would take just so, and both ways
stand under the same tests.
"""

try:
    from streams.native import events, records, writing  # noqa: F401 - are they there?
except ImportError:
    IS_BUILT = False
else:
    IS_BUILT = True

try:
    from streams.native import translating  # noqa: F401 - the same
except ImportError:
    TRANSLATES = False
else:
    TRANSLATES = IS_BUILT
"""Whether a bridge's part is there too."""
