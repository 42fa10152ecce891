"""The ecs-backend command and what it runs."""
