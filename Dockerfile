# App Engine's own images: `--target server` and `--target transfer-agent`.

FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*

FROM python AS uv
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir uv==0.13.9
# Debian's own Python, and one folder that holds all and is copied as it is.
ENV UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/appengine \
    UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_CERTS=1
WORKDIR /source
# What others wrote is installed before our own code is copied, so that it stays when ours changes.
COPY pyproject.toml uv.lock ./
COPY contract/pyproject.toml contract/
COPY protos/pyproject.toml protos/
COPY server/pyproject.toml server/
COPY transfer_agent/pyproject.toml transfer_agent/
COPY clients/python/pyproject.toml clients/python/

FROM uv AS build-server
ARG SYNC="/uv/bin/uv sync --frozen --no-dev --no-editable --package appengine-server --extra uvloop --extra otel"
RUN $SYNC --no-install-workspace
COPY . .
RUN $SYNC

FROM uv AS build-transfer-agent
ARG SYNC="/uv/bin/uv sync --frozen --no-dev --no-editable --package appengine-transfer-agent"
RUN $SYNC --no-install-workspace
COPY . .
RUN $SYNC

FROM python AS transfer-agent
COPY --from=build-transfer-agent /opt/appengine /opt/appengine
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/opt/appengine/bin/appengine-transfer-agent"]

# The same image as an archive, which the server brings to the registry of a cluster: a build cannot
# save another target of its own. Two layers, so that a new agent does not send Debian again.
FROM python AS transfer-agent-archive
COPY scripts/lib/pack_image.py /
COPY --from=python / /base
RUN python3 /pack_image.py layer /base /base.tar.gz
COPY --from=build-transfer-agent /opt/appengine /agent/opt/appengine
RUN python3 /pack_image.py layer /agent /agent.tar.gz \
    && python3 /pack_image.py image '{"User": "65532:65532", \
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], \
        "Entrypoint": ["/opt/appengine/bin/appengine-transfer-agent"]}' \
        /transfer-agent.tar /base.tar.gz /agent.tar.gz

FROM python AS server
# skopeo pushes the images of tasks to a registry.
RUN apt-get update \
    && apt-get install -y --no-install-recommends skopeo \
    && rm -rf /var/lib/apt/lists/*
# Where it need not be root, in cluster mode, it is this one: PostgreSQL wants users to have a name.
RUN useradd --uid 65532 --user-group --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin appengine
COPY --from=transfer-agent-archive /transfer-agent.tar /opt/appengine/transfer-agent.tar
COPY --from=build-server /opt/appengine /opt/appengine
ENV BIND_ADDRESS=0.0.0.0 PORT=8080 STORAGE_BASE_PATH=/data PATH=/opt/appengine/bin:$PATH
# It runs as root, because it must read and delete what tasks of any user id leave behind, and because
# the engine's socket belongs to root. PostgreSQL, which refuses root, runs under an account of its own.
# Tasks get their folders from the container engine, which knows only the machine's own paths: with its
# socket mounted, mount the data folder at the same path inside and outside.
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/opt/appengine/bin/appengine-server", "health"]
ENTRYPOINT ["/opt/appengine/bin/appengine-server"]
