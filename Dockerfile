# Two images of one build: `culprit` has the embedded store and runs alone; `culprit-roles` is for collector, analyzer and api over
# Kafka and a ClickHouse server, and leaves out the engine (546 MB).
#   docker build --target culprit-roles -t culprit-roles .
FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --ignore-scripts
COPY rolldown.config.mjs ./
COPY schemas schemas
COPY collector collector
COPY analyzer analyzer
COPY api api
COPY deploy deploy
RUN npm run build

FROM node:22-bookworm-slim AS runtime
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /src/dist ./
# All other packages are part of the build (rolldown.config.mjs).
COPY --from=build /src/node_modules/@node-rs ./node_modules/@node-rs
COPY --from=build /src/node_modules/@platformatic/dynamic-buffer ./node_modules/@platformatic/dynamic-buffer
COPY --from=build /src/node_modules/@platformatic/wasm-utils ./node_modules/@platformatic/wasm-utils
COPY --from=build /src/node_modules/@resvg ./node_modules/@resvg
# `culprit doctor` and the like, beside what runs.
RUN ln -s /app/deploy/bin.cjs /usr/local/bin/culprit && mkdir /data && chown node:node /data
USER node
EXPOSE 4317 4318
# The process is told of the end of the container, and keeps what it acknowledged before it goes.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "deploy/bin.cjs"]

FROM runtime AS culprit-roles
# Bodies of requests come and go in several threads, each with memory of its own that it keeps: with as many as there are threads a collector takes 30 MiB more.
ENV MALLOC_ARENA_MAX=2

FROM runtime AS culprit
COPY --from=build /src/node_modules/@chdb ./node_modules/@chdb
COPY --from=build /src/node_modules/@clickhouse/client-common ./node_modules/@clickhouse/client-common
COPY --from=build /src/node_modules/chdb ./node_modules/chdb
ENV CULPRIT_DATA=/data CULPRIT_HOST=0.0.0.0
VOLUME /data
# As the first line of bin.cjs has it, which says why, and as it is measured (BENCHMARKS.md).
ENTRYPOINT ["node", "--max-semi-space-size=64", "deploy/bin.cjs"]
