# The inference image of one sealed bundle. An ONNX bundle needs no scikit-learn, so the image has none.
#
#   windlass train examples/iris
#   docker build -t iris .
#   docker run --rm -p 8080:8080 -e WINDLASS_API_KEYS="me:predict:$KEY" iris
#
# It requires keys (docs/keys.md). Create one: KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(32))').
# SageMaker and Vertex AI admit only their own callers, which send no key: set WINDLASS_AUTH=off in the model's environment.
# Another bundle: --build-arg BUNDLE=path/to/bundle (a folder of this build context).
# A bundle that says `"engine": {"name": "native"}` in its manifest: --build-arg EXTRAS=train.
# A server that follows a registry needs no bundle:
#
#   docker build --target server --build-arg EXTRAS=postgres,redis -t windlass .
#
# /opt/ml/model and `docker run IMAGE serve` on port 8080 are SageMaker's conventions.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=
WORKDIR /build
COPY requirements.txt ./
RUN pip install --no-cache-dir --constraint requirements.txt hatchling \
    && python -m venv --without-pip /opt/windlass
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The lock only constrains versions here: only what the package requires is installed.
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/windlass install --no-cache-dir --no-compile --constraint requirements.txt \
        "$(echo dist/*.whl)${EXTRAS:+[${EXTRAS}]}" \
    && python -m compileall -q /opt/windlass/lib

FROM python:${PYTHON}-slim AS server
RUN useradd --system --uid 10001 --home-dir /var/lib/windlass --create-home windlass \
    && chmod 700 /var/lib/windlass
COPY --from=build /opt/windlass /opt/windlass
ENV PATH=/opt/windlass/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WINDLASS_HOME=/var/lib/windlass \
    WINDLASS_AUTH=required
USER 10001
WORKDIR /var/lib/windlass
VOLUME /var/lib/windlass
EXPOSE 8080
HEALTHCHECK --start-period=20s --interval=10s --timeout=3s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
ENTRYPOINT ["windlass"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]

FROM server
ARG BUNDLE=examples/iris/artifacts
COPY ${BUNDLE} /opt/ml/model
