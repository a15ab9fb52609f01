"""Data of tests: dumps of real servers, stores of released formats and the script that makes them."""
