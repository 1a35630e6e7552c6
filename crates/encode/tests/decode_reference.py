"""Decodes the reference's dialect without a line of ours, and says whether both of its forms are the same message.

The messages are made from `fixtures/reference_schema.csv`, which lists what the clients of the reference expect, by the
protobuf package of Python. Knows neither our schema, but to compare it with that list, nor how an answer is made.

    decode_reference.py schema OURS.proto            our schema is the list, as far as an answer can reach
    decode_reference.py golden ANSWER.hex ANSWER.json  both are the same message, with no other fields
    decode_reference.py print ANSWER                 the protobuf of an answer, as the JSON of the package
"""

import csv
import json
import pathlib
import re
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

PACKAGE = "datadog.process_agent"
SCALARS = {"int32", "int64", "uint32", "uint64", "bool", "string", "bytes", "double"}
FIELD = descriptor_pb2.FieldDescriptorProto


def table():
    """Messages and enums by name: of each, (number, name, type) of what is in it."""
    path = pathlib.Path(__file__).parent / "fixtures" / "reference_schema.csv"
    found = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            found.setdefault(row["message"], []).append((int(row["number"]), row["name"], row["type"]))
    return found


def is_enum(entries):
    return all(kind == "enum" for _, _, kind in entries)


def set_type(field, kind, names):
    """Gives a field its type; `kind` is a scalar, a message or an enum."""
    if kind in SCALARS:
        field.type = getattr(FIELD, "TYPE_" + kind.upper())
        return
    field.type = FIELD.TYPE_ENUM if is_enum(names[kind]) else FIELD.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{kind}"


def add_field(message, number, name, kind, names):
    field = message.field.add(name=name, number=number, label=FIELD.LABEL_OPTIONAL)
    kind, _, options = kind.partition(" [")
    if options.startswith("packed = false"):
        field.options.packed = False
    if kind.startswith("repeated "):
        field.label = FIELD.LABEL_REPEATED
        kind = kind.removeprefix("repeated ")
    pair = re.fullmatch(r"map<(\w+),\s*(\w+)>", kind)
    if not pair:
        set_type(field, kind, names)
        return
    entry = message.nested_type.add(name=name[0].upper() + name[1:] + "Entry")
    entry.options.map_entry = True
    for place, (part, of) in enumerate(zip(("key", "value"), pair.groups()), 1):
        set_type(entry.field.add(name=part, number=place, label=FIELD.LABEL_OPTIONAL), of, names)
    field.label = FIELD.LABEL_REPEATED
    field.type = FIELD.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"


def connections():
    """The class of the whole answer."""
    names = table()
    file = descriptor_pb2.FileDescriptorProto(name="list.proto", package=PACKAGE, syntax="proto3")
    for name, entries in names.items():
        if is_enum(entries):
            enum = file.enum_type.add(name=name)
            for number, value, _ in entries:
                enum.value.add(name=value, number=number)
            continue
        message = file.message_type.add(name=name)
        for number, field, kind in entries:
            add_field(message, number, field, kind, names)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Connections"))


def reachable(names):
    """What is in an answer, and in that, and so on: all but what only `bytes` hold."""
    found, todo = set(), ["Connections"]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for _, _, kind in names[name]:
            todo += [word for word in re.findall(r"\w+", kind) if word in names]
    return found


def schema(path):
    source = re.sub(r"//.*", "", pathlib.Path(path).read_text(encoding="utf-8"))
    ours = {}
    for keyword, name, body in re.findall(r"(message|enum) (\w+) \{(.*?)\n\}", source, re.S):
        for kind, field, number, options in re.findall(r"^\s*(.*?)\s*(\w+) = (\d+)(.*);$", body, re.M):
            kind = "enum" if keyword == "enum" else (kind + options).replace(", ", ",")
            ours.setdefault(name, []).append((int(number), field, kind))
    names = table()
    expected = {name: names[name] for name in reachable(names)}
    for name in sorted(expected.keys() | ours.keys()):
        if sorted(expected.get(name, [])) != sorted(ours.get(name, [])):
            sys.exit(f"{name}: the list has {expected.get(name)}, our schema {ours.get(name)}")
    entries = sum(len(entries) for entries in ours.values())
    print(f"{len(ours)} messages and enums with {entries} entries are as in the list")


def golden(protobuf, text):
    answer = connections()()
    data = bytes.fromhex(pathlib.Path(protobuf).read_text(encoding="ascii"))
    answer.ParseFromString(data)
    said = connections_like(answer, json.loads(pathlib.Path(text).read_text(encoding="utf-8")))
    if answer != said:
        sys.exit(f"protobuf says:\n{answer}\nJSON says:\n{said}")
    # A field that is not in the list, or has another type there, was kept apart and is in no JSON.
    answer.DiscardUnknownFields()
    again = type(answer).FromString(answer.SerializeToString())
    size = answer.ByteSize()
    answer.ParseFromString(data)
    if again != answer or size != answer.ByteSize():
        sys.exit("there are fields that are not in the list")
    print(f"{len(answer.conns)} connections, the same in both forms")


def connections_like(answer, value):
    """Strict: a name that is not in the list is an error."""
    return json_format.ParseDict(value, type(answer)())


def print_answer(path):
    answer = connections()()
    answer.ParseFromString(pathlib.Path(path).read_bytes())
    print(json_format.MessageToJson(answer, always_print_fields_with_no_presence=True, indent=None))


if __name__ == "__main__":
    {"schema": schema, "golden": golden, "print": print_answer}[sys.argv[1]](*sys.argv[2:])
