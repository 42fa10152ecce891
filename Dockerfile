# One image for every service: migrations and then the api by default; `ingest`, `migrate` and the other
# commands of ecs-backend by name.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies first: they change more seldom than the code.
COPY requirements.txt .
RUN pip install -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY docs docs
COPY fixtures fixtures
COPY ingest ingest
COPY migrations migrations
COPY shared shared
# Editable: the code reads migrations/ and docs/ where they lie.
RUN pip install --no-deps --editable . && useradd --system --no-create-home ecs
USER ecs

ENV API_HOST=0.0.0.0 INGEST_HTTP_HOST=0.0.0.0
EXPOSE 8000 9100

# For the default command; compose says how ingest is.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD python -m shared.commands.healthcheck "${API_PORT:-8000}"

CMD ["sh", "shared/serve.sh"]
