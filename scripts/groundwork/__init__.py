"""The ground under the tests: engines, a registry and images, with nothing but the standard library."""
