"""The service itself: health, metrics, the contract and its page."""
