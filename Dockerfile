# One image for every process: worker, beat, migrate, and any command of coupe-file.
#
#     docker build --build-arg VERSION="$(make -s version)" -t coupe-file .
#
# Only what runs is in it: requirements.lock, checked hash by hash, and the program. No server, no tool, no secret.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /opt/coupe-file
COPY requirements.lock requirements-dev.lock ./
RUN /opt/coupe-file/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY config config
COPY local local
COPY migrations migrations
COPY states states
COPY tasks tasks
COPY web web
COPY workflow workflow
# What builds the wheel comes in the versions, and with the hashes, of requirements-dev.lock (--build-constraint: pip 25.3
# or later), and does not stay. There is no git here: the version is given. pip itself is not needed to run.
ARG VERSION=0.0.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION="${VERSION}" \
    python -m pip wheel --no-deps --build-constraint requirements-dev.lock --wheel-dir /build/wheel . \
 && /opt/coupe-file/bin/pip install --no-deps /build/wheel/*.whl \
 && /opt/coupe-file/bin/pip uninstall --yes pip \
 && python -m compileall -q /opt/coupe-file

FROM python:${PYTHON}-slim
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="coupe-file" \
      org.opencontainers.image.description="Le coupe-file administratif : dossiers, délais, échelons, preuve" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 coupe-file \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin coupe-file \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/coupe-file
COPY --from=build /opt/coupe-file /opt/coupe-file
# The root may be read-only: what is written goes to /tmp (a beat's note) and to the volume of files.
ENV PATH=/opt/coupe-file/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 COUPE_FILE_HOME=/tmp/coupe-file \
    COUPE_FILE_FILES=/var/lib/coupe-file
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
# A worker, unless told otherwise; it is well when it has itself answered (docs/deploy.md).
CMD ["celery", "-A", "tasks.app", "worker", "--concurrency=2", "--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
HEALTHCHECK --interval=60s --timeout=75s --start-period=30s --retries=2 CMD ["coupe-file", "health", "--worker", "celery@%h"]
