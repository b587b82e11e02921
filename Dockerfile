# Bellwether and the images of a Frappe stack that it starts. Targets:
#
#   binary      /bellwether alone, static, for COPY --from
#   frappe      a bench, with Bellwether as its entrypoint (the default)
#   frappe-s6   the same with nginx, gunicorn, node, workers and scheduler under s6-overlay
#
#   docker build --build-arg IMAGE_REV=v1 --secret id=apps_json,src=apps.json -t frappe-prod-image:v1 .
#
# For linux/amd64 and linux/arm64. Needs BuildKit: any buildx, or DOCKER_BUILDKIT=1 with Docker 20.10.

# Every image that something begins with is an argument. A tag may move; to begin with the same images next year give digests:
#   --build-arg RUST_IMAGE=rust@sha256:… --build-arg FRAPPE_BUILD_IMAGE=frappe/build@sha256:… (see `docker buildx imagetools inspect`)
ARG RUST_IMAGE=rust:1.95-bookworm
ARG FRAPPE_BUILD_IMAGE=frappe/build:version-15
ARG FRAPPE_BASE_IMAGE=frappe/base:version-15
# An image that has a bench already (frappe/erpnext:v15.75.1, say) is used with that, and no bench is made.
ARG FRAPPE_IMAGE=own-bench
# An image with the files of s6-overlay (>= 3.2.3.2) and nothing else; by default its project's release is downloaded.
ARG S6_OVERLAY_IMAGE=s6-overlay-release


# The compiler runs on the machine that builds, whatever it builds for: nothing is emulated.
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS compile
ARG TARGETARCH
# The linker that Rust brings along knows both architectures.
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
RUN case "$TARGETARCH" in \
        amd64) echo x86_64-unknown-linux-musl ;; \
        arm64) echo aarch64-unknown-linux-musl ;; \
        *) echo "there is no Bellwether for '$TARGETARCH': only amd64 and arm64" >&2; exit 1 ;; \
    esac >/triple && rustup target add "$(cat /triple)"
WORKDIR /bellwether
# What we depend on is built in a layer of its own, which lasts until one of these files changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo/config.toml .cargo/
RUN mkdir src bin && echo '//! Stands in.' | tee src/lib.rs bin/bellwether.rs && echo 'fn main() {}' >>bin/bellwether.rs \
    && cargo build --locked --release --bin bellwether --target "$(cat /triple)" \
    && rm -r src bin
COPY src src
COPY bin bin
# Cargo goes by times, and those of the stand-ins are later than those of the files that took their place.
RUN find src bin -name '*.rs' -exec touch {} + \
    && cargo build --locked --release --bin bellwether --target "$(cat /triple)" \
    && cp "target/$(cat /triple)/release/bellwether" /bellwether.static


FROM scratch AS binary
LABEL org.opencontainers.image.title="Bellwether" org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=compile /bellwether.static /bellwether


# The bench of apps.json, or of frappe alone. Only the directory that comes out is kept, and no login is in it.
FROM ${FRAPPE_BUILD_IMAGE} AS builder
COPY compose/build/init-bench /usr/local/bin/init-bench
USER frappe
WORKDIR /home/frappe
# Unless apps.json lists a Frappe of your own.
ARG FRAPPE_PATH=https://github.com/frappe/frappe
ARG FRAPPE_BRANCH=version-15
# For builders that cannot mount a secret. Anyone who can read the builder's cache can read it, so no tokens in it:
# `--secret id=apps_json,src=apps.json` is the way for those. A branch that has moved on is fetched again only after a
# change of apps.json, or with --no-cache-filter=builder.
ARG APPS_JSON_BASE64
RUN --mount=type=secret,id=apps_json,target=/run/secrets/apps.json,mode=0444 init-bench frappe-bench


FROM ${FRAPPE_BASE_IMAGE} AS own-bench
COPY --from=builder --chown=frappe:frappe /home/frappe/frappe-bench /home/frappe/frappe-bench


FROM ${FRAPPE_IMAGE} AS prepared
USER root
WORKDIR /home/frappe/frappe-bench
# An empty volume takes its owner from what it is mounted on. Bundles that the image has on the volume's side would hide behind
# those of an older image, so they move to where Bellwether links to.
RUN install -d -o frappe -g frappe sites logs \
    && if [ -d sites/assets ] && [ ! -L sites/assets ] && [ ! -e assets ]; then mv sites/assets assets; fi
COPY --from=binary /bellwether /usr/local/bin/bellwether
COPY compose/image/ /
USER frappe
# Without this argument the image says so instead of starting; `-e IMAGE_REV=…` helps as well.
ARG IMAGE_REV
RUN [ -n "${IMAGE_REV-none}" ] || { echo "IMAGE_REV is empty: give the revision, which is the image's tag, too" >&2; exit 1; }
ENV IMAGE_REV=$IMAGE_REV BELLWETHER_PRESET=frappe
LABEL org.opencontainers.image.title="Frappe behind Bellwether" org.opencontainers.image.version=$IMAGE_REV
EXPOSE 8000
# 503 is maintenance: nobody should kill a replica for that. Until the revision is ready nothing answers, for hours if need be.
HEALTHCHECK --interval=15s --timeout=10s --start-period=6h --retries=4 CMD ["frappe-health"]
# As their parent: node and `bench schedule` ignore SIGTERM where they are PID 1, and gunicorn until it has loaded the application.
ENTRYPOINT ["bellwether", "run", "--supervise", "--"]


# s6-overlay as its project has published it. Another version needs its checksums, too.
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS s6-overlay-unpacked
ARG TARGETARCH
ARG S6_OVERLAY_VERSION=3.2.3.2
ARG S6_OVERLAY_URL=https://github.com/just-containers/s6-overlay/releases/download/v${S6_OVERLAY_VERSION}
ARG S6_OVERLAY_SHA256_NOARCH=5379750ed30a84bbd2e2dd74847ba6b5bd29cd0b2e3ea2ec58049b57eb2eda12
ARG S6_OVERLAY_SHA256_X86_64=e6befcc96a437a3831386ecfc51808c5d3e939dc5fe3c02ae9284599e8aa2408
ARG S6_OVERLAY_SHA256_AARCH64=b17f17a82e7a515c682a91edaf2ffdabb73f891981b6c1fd712115693a2f8b4c
WORKDIR /unpacked
RUN case "$TARGETARCH" in \
        amd64) set -- noarch "$S6_OVERLAY_SHA256_NOARCH" x86_64 "$S6_OVERLAY_SHA256_X86_64" ;; \
        arm64) set -- noarch "$S6_OVERLAY_SHA256_NOARCH" aarch64 "$S6_OVERLAY_SHA256_AARCH64" ;; \
        *) echo "s6-overlay for '$TARGETARCH' is not known here: only amd64 and arm64" >&2; exit 1 ;; \
    esac \
    && while [ $# -gt 0 ]; do \
        curl --fail --silent --show-error --location --retry 3 --output /archive "$S6_OVERLAY_URL/s6-overlay-$1.tar.xz" \
        && echo "$2  /archive" | sha256sum --check --quiet - && tar -xJpf /archive || exit 1; \
        shift 2; \
    done


FROM scratch AS s6-overlay-release
COPY --from=s6-overlay-unpacked /unpacked /


FROM ${S6_OVERLAY_IMAGE} AS s6-overlay


# Everything of a stack in one container: FRAPPE_ROLE (all, web, workers, scheduler) says what of it.
FROM prepared AS frappe-s6
USER root
COPY --from=s6-overlay / /
COPY compose/s6/ /
# Without root and with no-new-privileges nobody can mend who /run belongs to.
RUN [ -d /etc/s6-overlay/user-bundles.d ] || { echo "S6_OVERLAY_IMAGE is no s6-overlay of 3.2.3.2 or later" >&2; exit 1; } \
    && chown frappe:frappe /run
USER frappe
# A failed start ends the container; nothing but Bellwether's own limits bounds how long one may take. s6 always sleeps the
# grace time, in milliseconds, after the services have ended. Programs of s6 are to be found by `docker exec`, too.
ENV PATH=/command:$PATH \
    S6_STAGE2_HOOK=/etc/s6-overlay/scripts/role \
    S6_BEHAVIOUR_IF_STAGE2_FAILS=2 \
    S6_CMD_WAIT_FOR_SERVICES_MAXTIME=0 \
    S6_KILL_GRACETIME=200 \
    S6_VERBOSITY=1
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=10s --start-period=6h --retries=4 CMD ["frappe-s6-health"]
# Which has to be PID 1 itself.
ENTRYPOINT ["bellwether", "run", "--"]
CMD ["/init"]


FROM prepared AS frappe
CMD ["frappe-service", "web"]
