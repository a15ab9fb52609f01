"""AWS's protocols: requests to the input of an operation, its output or a fault to a response, by botocore's shapes.

messages.py    a request, a reply, and what a protocol does
query.py       form parameters in, XML out (rds, sts, older clients of CloudWatch)
xml.py         values to XML
json.py        rest-json (rds-data) and awsJson (CloudWatch)
cbor.py        smithy-rpc-v2-cbor (CloudWatch)
encoding.py    values to CBOR, and back
scalars.py     timestamps, blobs and numbers as text
validation.py  what an input must be
"""
