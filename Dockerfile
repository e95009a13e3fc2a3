# One image for every part: `winch worker`, `winch flower`, `winch up`.
#
# BASE may be any Debian or Ubuntu with Python 3.11 or newer in it, or in its packages:
#   docker build --build-arg BASE=debian:bookworm-slim .
# Behind a proxy that has a certificate of its own, pass the bundle as a secret (it stays out of
# the image): docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt .
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ENV DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN command -v pip > /dev/null || { apt-get -qq update \
    && apt-get -qq install --yes --no-install-recommends python3 python3-venv > /dev/null; }
WORKDIR /src
COPY . .
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && python3 -m venv /opt/winch \
    && /opt/winch/bin/pip install --quiet --constraint constraints.txt '.[postgresql,notify]'

FROM ${BASE}
ENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1 PATH=/opt/winch/bin:$PATH \
    WINCH_STATE_DIR=/var/lib/winch WINCH_FLEET=/etc/winch/fleet.yaml
# socat and util-linux's flock: for hosts with `connection: local` only, but small.
RUN apt-get -qq update \
    && apt-get -qq install --yes --no-install-recommends ca-certificates socat \
        $(command -v pip > /dev/null || echo python3) > /dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/winch --create-home winch
COPY --from=build /opt/winch /opt/winch
USER winch
WORKDIR /var/lib/winch
VOLUME /var/lib/winch
# SIGTERM ends the steps under way first; give it a minute (`docker stop --time 60`).
STOPSIGNAL SIGTERM
ENTRYPOINT ["winch"]
CMD ["worker"]
