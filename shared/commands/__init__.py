"""The `ecs-backend` command (`cli`), and its commands `up`, `migrate` and `status`."""
