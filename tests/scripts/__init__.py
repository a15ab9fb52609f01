"""Golden scripts and the test that plays them."""
