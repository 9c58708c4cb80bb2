"""The blocking client. Performs the steps of plans; what is asked and answered is in the plans."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import grpc
from google.protobuf.message import Message

from exemplar import adding_plan, inference_plans, support_set_plans
from exemplar.adding_plan import AddOptions
from exemplar.answers import (
    AddResult,
    Answer,
    Backbone,
    DeleteResult,
    Exemplar,
    RemoveResult,
    ServerInfo,
    SupportSet,
)
from exemplar.calls import IN_FLIGHT, STREAM_CLASSIFY, Call, Calls, Pause, Plan, Step, StreamingCall
from exemplar.channel import channel_options, connection
from exemplar.embedding import Embedding
from exemplar.errors import ExemplarError, error_of
from exemplar.images import Image, ImageFile, Labelled
from exemplar.inference_plans import ClassifyOptions
from exemplar.map_result import MapProgress, MapResult
from exemplar.memory import Memory, known_limits, server_info
from exemplar.stream import ClassifyStream, Request
from exemplar.support_set_plans import Page
from exemplar.v1 import map_pb2, support_set_pb2
