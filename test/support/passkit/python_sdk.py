"""PyPI's passkit-python-grpc-sdk as it comes, driven by JSON lines: a call a line in, its answer a line out."""

import json
import sys

import grpc
from passkit.io.common import common_objects_pb2, filter_pb2, integration_pb2
from passkit.io.core import a_rpc_others_pb2_grpc

ADDRESS, KEY = sys.argv[1:3]
METADATA = (("authorization", f"Bearer {KEY}"),)


def sink_message(sink):
    made = integration_pb2.SinkSubscription()
    for name in ("id", "classId", "protocol", "status", "configType", "configuration"):
        if name in sink:
            setattr(made, name, sink[name])
    made.passEventId.extend(sink.get("passEventId", []))
    for name in ("membershipEvents", "couponEvents"):
        if name in sink:
            getattr(made, name).ids.extend(sink[name])
    return made


def read_sink(sink):
    return {
        "id": sink.id,
        "classId": sink.classId,
        "protocol": sink.protocol,
        "passEventId": list(sink.passEventId),
        "status": sink.status,
        "configType": sink.configType,
        "configuration": sink.configuration,
        "membershipEvents": list(sink.membershipEvents.ids),
        "couponEvents": list(sink.couponEvents.ids),
        "hasTimes": sink.HasField("createdAt") and sink.HasField("updatedAt"),
    }


def list_message(asked):
    made = common_objects_pb2.ListRequest(classId=asked.get("classId", ""), protocol=asked.get("protocol", 0))
    made.filters.limit = asked.get("limit", 0)
    made.filters.offset = asked.get("offset", 0)
    if "filters" in asked:
        group = made.filters.filterGroups.add()
        for each in asked["filters"]:
            group.fieldFilters.add(filterField=each["field"], filterValue=each["value"], filterOperator="eq")
    return made


def deprecated_list_message(asked):
    made = common_objects_pb2.ListRequestDeprecated(
        classId=asked.get("classId", ""), protocol=asked.get("protocol", 0)
    )
    made.pagination.limit = asked.get("limit", 0)
    made.pagination.offset = asked.get("offset", 0)
    for each in asked.get("filters", []):
        made.pagination.filterField.append(each["field"])
        made.pagination.filterValue.append(each["value"])
        made.pagination.filterOperator.append("eq")
    return made


def named(asked):
    return integration_pb2.SubscriptionRequest(protocol=asked["protocol"], subscriptionId=asked["subscriptionId"])


def answer(stub, method, asked):
    call = getattr(stub, method)
    match method:
        case "createSinkSubscription" | "updateSinkSubscription":
            return call(sink_message(asked), metadata=METADATA).id
        case "getSinkSubscription":
            return read_sink(call(named(asked), metadata=METADATA))
        case "deleteSinkSubscription":
            call(named(asked), metadata=METADATA)
            return None
        case "listSinkSubscriptions":
            return [read_sink(each) for each in call(list_message(asked), metadata=METADATA)]
        case "listSinkSubscriptionsDeprecated":
            return [read_sink(each) for each in call(deprecated_list_message(asked), metadata=METADATA)]
        case "getSampleSubscriptionEvent":
            return read_sink(call(common_objects_pb2.Id(id=asked["id"]), metadata=METADATA))
        case "getIntegrations":
            call(integration_pb2.ProtocolIdInput(**asked), metadata=METADATA)
            return None
    raise ValueError(f"no call {method}")


with grpc.insecure_channel(ADDRESS) as channel:
    integrations = a_rpc_others_pb2_grpc.IntegrationsStub(channel)
    for line in sys.stdin:
        method, asked = json.loads(line)
        try:
            said = {"answer": answer(integrations, method, asked)}
        except grpc.RpcError as error:
            said = {"code": error.code().value[0], "details": error.details()}
        print(json.dumps(said), flush=True)
