# Conductor in one image: all programs, and supervisord to run them together.
#
#   docker build -t conductor .                          with Node.js and the coding CLIs
#   docker build -t conductor --build-arg WITH_CLIS=no . without them
#
# docs/docker.md says how to build on it.
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG DEBIAN_IMAGE=debian:trixie-slim
ARG WITH_CLIS=yes

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# The caches keep what is downloaded and compiled between builds; the program is all that leaves them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p conductor-cli --features redis \
 && install -D target/release/conductor /out/conductor

FROM ${DEBIAN_IMAGE} AS base
# Debian's own hook would remove downloaded packages; with a cache mount they are kept outside the image.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates curl git supervisor tini \
 && find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} + \
 && rm -rf /usr/share/doc /usr/share/man /var/log/*.log /var/log/apt

FROM base AS clis-no

# The coding CLIs, in the versions and with the hashes of deploy/clis/package-lock.json.
FROM base AS clis-install
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs npm
WORKDIR /opt/clis
COPY deploy/clis/package.json deploy/clis/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --omit=dev

FROM base AS clis-yes
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs \
 && rm -rf /usr/share/doc /usr/share/man /var/log/*.log /var/log/apt
COPY --from=clis-install /opt/clis /opt/clis

FROM clis-${WITH_CLIS} AS conductor
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Conductor" \
      org.opencontainers.image.description="A self-hosted task queue for coding agents" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/conductor /usr/local/bin/conductor
COPY supervisord.conf /etc/supervisor/conductor.conf
# The program knows by its name which one it is. The volumes begin as volumes/ has them, and belong to the user that runs
# it; any other uid works too, on folders that it may write.
RUN for name in orchestrator api dashboard agent; do ln -s conductor "/usr/local/bin/conductor-$name"; done \
 && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin conductor
COPY --chown=10001:10001 volumes/config /etc/conductor
COPY --chown=10001:10001 volumes/workspace /workspace
COPY --chown=10001:10001 volumes/logs /var/log/conductor
COPY --chown=10001:10001 volumes/state /var/lib/conductor
RUN find /workspace /var/log/conductor /var/lib/conductor -name .gitkeep -delete \
 && chmod 0700 /etc/conductor /var/lib/conductor && chmod 0755 /workspace /var/log/conductor \
 && install -d -m 0700 -o 10001 -g 10001 /run/conductor
ENV CONDUCTOR_LAYOUT=container \
    CONDUCTOR_AGENTS=2 \
    CONDUCTOR__API__LISTEN=0.0.0.0:8081 \
    CONDUCTOR__DASHBOARD__LISTEN=0.0.0.0:8080 \
    PATH=/opt/clis/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    DISABLE_AUTOUPDATER=1
USER 10001:10001
VOLUME ["/etc/conductor", "/workspace", "/var/log/conductor", "/var/lib/conductor"]
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=2s --timeout=6s --start-period=30s --retries=5 \
  CMD ["conductor", "healthcheck"]
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/usr/bin/supervisord", "--nodaemon", "--configuration", "/etc/supervisor/conductor.conf"]
