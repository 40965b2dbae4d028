"""Would the tests notice? Small changes of the code, made at random, each run against the tests that reach it."""
