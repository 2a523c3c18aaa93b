# Stand-ins for the images of compose.yml that come from a registry, where none can be reached: the same
# programs from Debian (PostgreSQL), built from their sources (InfluxDB) or the user's own (k6, else the double of it), with as much of the
# official images' behaviour as compose.yml uses. The build context is a folder of built programs.
ARG RUNTIME=debian:bookworm-slim

# postgres:17-bookworm, but Debian's 15.
FROM ${RUNTIME} AS postgres
RUN apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null && \
    rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY postgres-entry /usr/local/bin/
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entry"]
CMD ["postgres"]

# influxdb:1.8.10, the same version.
FROM ${RUNTIME} AS influxdb
COPY influxd influx influxdb-entry /usr/local/bin/
VOLUME /var/lib/influxdb
ENTRYPOINT ["influxdb-entry"]

# grafana/k6:1.8.1, with the k6 of whoever calls the check, where the official image has it.
FROM ${RUNTIME} AS k6
COPY k6 /usr/bin/k6
USER 12345:12345
ENTRYPOINT ["k6"]
