"""What tests share: images, registries, Compose projects, the engine's command line."""
