# One image for web, worker, beat and the management commands.
FROM python:3.12-slim AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt /tmp/requirements.txt
RUN pip install --requirement /tmp/requirements.txt

# For the accelerator alone: the image that runs has no compiler.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY manage.py ./
COPY autores ./autores
COPY accounts ./accounts
COPY mentions ./mentions
RUN python -m autores.mongo.accelerator
# The production storage writes hashed names; the plain ones beside them serve development.
RUN ENVIRONMENT=production python manage.py collectstatic --noinput \
    && python -m compileall -q autores accounts mentions

FROM python:3.12-slim

# Numbers, so that an orchestrator can prove that it is not root.
RUN groupadd --gid 10001 autores \
    && useradd --uid 10001 --gid autores --no-create-home --home-dir /tmp --shell /usr/sbin/nologin autores
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=autores.settings
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000

# For the default command; worker and beat bring their own in docker-compose.yml.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "autores.observability.probe", "web"]
CMD ["python", "-m", "autores.web", "--host", "0.0.0.0"]
