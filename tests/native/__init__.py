"""Tests of the data plane in C that leave Python out, or expect a crash of the process: races, damaged stores."""
