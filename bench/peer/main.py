"""``uvicorn bench.peer.main:app``; reads MONGODB_URL and MONGODB_DB_NAME."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from beanie import init_beanie
from fastapi import FastAPI
from pymongo import AsyncMongoClient

from bench.peer import adopted, messages
from bench.peer.models import Message, StatusCounter


@asynccontextmanager
async def connect(app: FastAPI) -> AsyncIterator[None]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGODB_URL"])
    database = client[os.environ["MONGODB_DB_NAME"]]
    await init_beanie(database, document_models=[Message, StatusCounter])
    yield
    await client.close()


app = FastAPI(lifespan=connect, openapi_url="/api/v1/openapi.json")
app.include_router(messages.router)
app.include_router(adopted.router)
