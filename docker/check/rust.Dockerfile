# Stands in for rust:1.95-slim-bookworm where no registry can be reached: Debian's C compiler and the
# toolchain of this machine, which is the build context.
ARG RUNTIME=debian:bookworm-slim
FROM ${RUNTIME}
RUN apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null && \
    rm -rf /var/lib/apt/lists/*
COPY . /opt/rust
ENV PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
