# Conductor in one image: all programs, and supervisord to run them together.
#
#   docker build -t conductor .                          with Node.js and the coding CLIs
#   docker build -t conductor --build-arg WITH_CLIS=no . without them
#
# A digest (sha256:..) pins an image beyond its name. docs/docker.md says how to build on it.
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG RUST_DIGEST=
ARG DEBIAN_IMAGE=debian:trixie-slim
ARG DEBIAN_DIGEST=
ARG WITH_CLIS=yes
# Where the program comes from: `build` compiles it, `given` takes given/conductor of the build's context.
ARG PROGRAM=build

FROM ${RUST_IMAGE}${RUST_DIGEST:+@}${RUST_DIGEST} AS build
WORKDIR /src
COPY . .
# The caches keep what is downloaded and compiled between builds; the program is all that leaves them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p conductor-cli --features redis \
 && mkdir /out && strip --strip-all -o /out/conductor target/release/conductor

FROM scratch AS given
COPY given/conductor /out/conductor

FROM ${PROGRAM} AS program

FROM ${DEBIAN_IMAGE}${DEBIAN_DIGEST:+@}${DEBIAN_DIGEST} AS base
# What nobody reads here is left out, also of packages that are installed on top of this; of git what serves others (a
# server of repositories, mail), and its second copy of itself.
COPY deploy/conductor/dpkg-excludes /etc/dpkg/dpkg.cfg.d/conductor
# Debian's own hook would remove downloaded packages; with a cache mount they are kept outside the image. Of Python's
# compiled modules those stay that supervisord loads: they are a second of its start and a third of its memory.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates curl git supervisor tini \
 && ln -sf /usr/bin/git /usr/lib/git-core/git \
 && find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} + \
 && supervisord --version >/dev/null \
 && rm -rf /var/log/*.log /var/log/apt

FROM base AS clis-no

# The coding CLIs, in the versions and with the hashes of deploy/clis/package-lock.json.
FROM base AS clis-install
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs npm
WORKDIR /opt/clis
COPY deploy/clis/package.json deploy/clis/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --omit=dev \
 # Debian is not musl; its npm takes what is for it all the same.
 && rm -rf node_modules/@anthropic-ai/*-musl

FROM base AS clis-yes
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs \
 && rm -rf /var/log/*.log /var/log/apt
COPY --from=clis-install /opt/clis /opt/clis

FROM clis-${WITH_CLIS} AS conductor
ARG VERSION=0.1.0
ARG REVISION=
ARG DEBIAN_IMAGE
ARG DEBIAN_DIGEST
ARG PROGRAM
LABEL org.opencontainers.image.title="Conductor" \
      org.opencontainers.image.description="A self-hosted task queue for coding agents" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${DEBIAN_IMAGE}" \
      org.opencontainers.image.base.digest="${DEBIAN_DIGEST}" \
      conductor.program="${PROGRAM}"
COPY --from=program /out/conductor /usr/local/bin/conductor
COPY supervisord.conf /etc/supervisor/conductor.conf
COPY deploy/conductor/start.sh /usr/local/bin/conductor-start
COPY deploy/conductor/pkg_resources.py /usr/local/lib/conductor/pkg_resources.py
# The program knows by its name which one it is. The volumes begin as volumes/ has them, and belong to the user that runs
# it; any other uid works too, on folders that it may write.
RUN for name in orchestrator api dashboard agent; do ln -s conductor "/usr/local/bin/conductor-$name"; done \
 && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin conductor
COPY --chown=10001:10001 volumes/config /etc/conductor
COPY --chown=10001:10001 volumes/workspace /workspace
COPY --chown=10001:10001 volumes/logs /var/log/conductor
COPY --chown=10001:10001 volumes/state /var/lib/conductor
RUN find /workspace /var/log/conductor /var/lib/conductor -name .gitkeep -delete \
 && chmod 0700 /etc/conductor /var/lib/conductor && chmod 0755 /workspace /var/log/conductor && chmod 1777 /run
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
# The first look comes after one interval and waits for what is about to be there; without that it would be the second.
HEALTHCHECK --interval=2s --timeout=9s --start-period=30s --retries=5 \
  CMD ["conductor", "healthcheck", "--wait", "3s"]
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/usr/local/bin/conductor-start"]
