import { createRequire } from 'node:module';
import { dtypeCode } from './dtype.ts';
import type { Graph, Shape } from './graph.ts';
import type { Attribute, FunctionDefinition, GraphNode } from './nodes.ts';

/**
 * The part of tfjs-node's generated protobuf classes (TensorFlow's SavedModel, GraphDef and friends) that we write.
 * The package ships them without types.
 */
interface Message {
  serializeBinary(): Uint8Array;
}
interface MapField<V> {
  set(key: string, value: V): void;
}
interface ProtoClasses {
  AttrValue: (new () => Message & {
    setType(v: number): void;
    setI(v: number): void;
    setF(v: number): void;
    setB(v: boolean): void;
    setS(v: Uint8Array): void;
    setShape(v: Message): void;
    setTensor(v: Message): void;
    setFunc(v: Message): void;
    setList(v: Message): void;
  }) & {
    ListValue: new () => Message & {
      setTypeList(v: number[]): void;
      setShapeList(v: Message[]): void;
      setFuncList(v: Message[]): void;
      setSList(v: Uint8Array[]): void;
      setFList(v: number[]): void;
    };
  };
  NameAttrList: new () => Message & { setName(v: string): void };
  TensorShape: (new () => Message & { setDimList(v: Message[]): void }) & {
    Dim: new () => Message & { setSize(v: number): void };
  };
  Tensor: new () => Message & {
    setDtype(v: number): void;
    setTensorShape(v: Message): void;
    setTensorContent(v: Uint8Array): void;
  };
  NodeDef: new () => Message & {
    setName(v: string): void;
    setOp(v: string): void;
    setInputList(v: string[]): void;
    getAttrMap(): MapField<Message>;
  };
  OpDef: (new () => Message & {
    setName(v: string): void;
    setInputArgList(v: Message[]): void;
    setOutputArgList(v: Message[]): void;
  }) & { ArgDef: new () => Message & { setName(v: string): void; setType(v: number): void } };
  FunctionDef: new () => Message & {
    setSignature(v: Message): void;
    setNodeDefList(v: Message[]): void;
    getAttrMap(): MapField<Message>;
    getRetMap(): MapField<string>;
  };
  FunctionDefLibrary: new () => Message & { setFunctionList(v: Message[]): void };
  VersionDef: new () => Message & { setProducer(v: number): void };
  GraphDef: new () => Message & {
    setNodeList(v: Message[]): void;
    setLibrary(v: Message): void;
    setVersions(v: Message): void;
  };
  MetaGraphDef: (new () => Message & {
    setMetaInfoDef(v: Message): void;
    setGraphDef(v: Message): void;
    getSignatureDefMap(): MapField<Message>;
  }) & {
    MetaInfoDef: new () => Message & {
      setTagsList(v: string[]): void;
      setTensorflowVersion(v: string): void;
    };
  };
  SignatureDef: new () => Message & { setMethodName(v: string): void };
  SavedModel: new () => Message & {
    setSavedModelSchemaVersion(v: number): void;
  };
}

const require = createRequire(import.meta.url);
let loaded: ProtoClasses | null = null;
function classes(): ProtoClasses {
  loaded ??= require('@tensorflow/tfjs-node-gpu/dist/proto/api_pb.js') as ProtoClasses;
  return loaded;
}

/** GraphDef's `producer`: the graph format of TensorFlow 2.9 to 2.21, without deprecated operations. */
const graphProducer = 1645;

/** The one tag of the graphs we write. */
export const savedModelTag = 'studio';
/** A signature that exists only because loading asks for one; calls use Session.run. */
export const loadSignature = 'load';

/** Nodes and functions are made into messages so many at a time. */
const batchSize = 200;

/**
 * The bytes of saved_model.pb for a graph. Variables are created at run time: there are no other files.
 *
 * Written in batches: a message of every node at once takes 130 MB of JavaScript objects for a model of 8 layers, which
 * the process would keep as heap. In protobuf the concatenation of two encodings of a message is the encoding of both
 * merged.
 */
export function serializeSavedModel(graph: Graph): Uint8Array {
  const proto = classes();
  const info = new proto.MetaGraphDef.MetaInfoDef();
  info.setTagsList([savedModelTag]);
  info.setTensorflowVersion('2.9.1');
  const versions = new proto.VersionDef();
  versions.setProducer(graphProducer);
  const definition = new proto.GraphDef();
  definition.setVersions(versions);
  const signature = new proto.SignatureDef();
  signature.setMethodName('tensorflow/serving/predict');
  const meta = new proto.MetaGraphDef();
  meta.setMetaInfoDef(info);
  meta.setGraphDef(definition);
  meta.getSignatureDefMap().set(loadSignature, signature);

  const parts = [meta.serializeBinary()];
  for (const nodes of batches(graph.main.nodes)) {
    const part = new proto.GraphDef();
    part.setNodeList(nodes.map(nodeMessage));
    parts.push(inMetaGraph(part));
  }
  for (const functions of batches([...graph.functions.values()])) {
    const library = new proto.FunctionDefLibrary();
    library.setFunctionList(functions.map(functionMessage));
    const part = new proto.GraphDef();
    part.setLibrary(library);
    parts.push(inMetaGraph(part));
  }
  const savedModel = new proto.SavedModel();
  savedModel.setSavedModelSchemaVersion(1);
  return Buffer.concat([savedModel.serializeBinary(), ...lengthDelimited(metaGraphsField, parts)]);
}

/** SavedModel.meta_graphs (saved_model.proto). */
const metaGraphsField = 2;

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += batchSize) yield items.slice(at, at + batchSize);
}

function inMetaGraph(part: Message): Uint8Array {
  const meta = new (classes().MetaGraphDef)();
  meta.setGraphDef(part);
  return meta.serializeBinary();
}

/** A message field whose content is the concatenation of `parts`: tag, length as a varint, content. */
function lengthDelimited(field: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const header = [(field << 3) | 2];
  let rest = parts.reduce((total, part) => total + part.length, 0);
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) header.push((rest & 0x7f) | 0x80);
  return [Uint8Array.from([...header, rest]), ...parts];
}

function nodeMessage(node: GraphNode): Message {
  const message = new (classes().NodeDef)();
  message.setName(node.name);
  message.setOp(node.op);
  message.setInputList(node.inputs);
  const attributes = message.getAttrMap();
  for (const [name, attribute] of Object.entries(node.attributes))
    attributes.set(name, attributeMessage(attribute));
  return message;
}

function functionMessage(definition: FunctionDefinition): Message {
  const proto = classes();
  const argument = (arg: { name: string; dtype: keyof typeof dtypeCode }) => {
    const message = new proto.OpDef.ArgDef();
    message.setName(arg.name);
    message.setType(dtypeCode[arg.dtype]);
    return message;
  };
  const signature = new proto.OpDef();
  signature.setName(definition.name);
  signature.setInputArgList(definition.inputs.map(argument));
  signature.setOutputArgList(definition.outputs.map(argument));
  const message = new proto.FunctionDef();
  message.setSignature(signature);
  message.setNodeDefList(definition.nodes.map(nodeMessage));
  for (const [name, attribute] of Object.entries(definition.attributes))
    message.getAttrMap().set(name, attributeMessage(attribute));
  for (const output of definition.outputs) message.getRetMap().set(output.name, output.reference);
  return message;
}

function shapeMessage(shape: Shape): Message {
  const proto = classes();
  const message = new proto.TensorShape();
  message.setDimList(
    shape.map((size) => {
      const dim = new proto.TensorShape.Dim();
      dim.setSize(size);
      return dim;
    }),
  );
  return message;
}

function functionReference(name: string): Message {
  const message = new (classes().NameAttrList)();
  message.setName(name);
  return message;
}

function attributeMessage(attribute: Attribute): Message {
  const proto = classes();
  const message = new proto.AttrValue();
  const list = new proto.AttrValue.ListValue();
  switch (attribute.kind) {
    case 'type':
      message.setType(dtypeCode[attribute.value]);
      break;
    case 'int':
      message.setI(attribute.value);
      break;
    case 'float':
      message.setF(attribute.value);
      break;
    case 'bool':
      message.setB(attribute.value);
      break;
    case 'string':
      message.setS(Buffer.from(attribute.value));
      break;
    case 'shape':
      message.setShape(shapeMessage(attribute.value));
      break;
    case 'function':
      message.setFunc(functionReference(attribute.value));
      break;
    case 'types':
      list.setTypeList(attribute.value.map((dtype) => dtypeCode[dtype]));
      message.setList(list);
      break;
    case 'shapes':
      list.setShapeList(attribute.value.map(shapeMessage));
      message.setList(list);
      break;
    case 'functions':
      list.setFuncList(attribute.value.map(functionReference));
      message.setList(list);
      break;
    case 'floats':
      list.setFList([...attribute.value]);
      message.setList(list);
      break;
    case 'strings':
      list.setSList(attribute.value.map((text) => Buffer.from(text)));
      message.setList(list);
      break;
    case 'tensor': {
      const tensor = new proto.Tensor();
      tensor.setDtype(dtypeCode[attribute.dtype]);
      tensor.setTensorShape(shapeMessage(attribute.shape));
      tensor.setTensorContent(attribute.content);
      message.setTensor(tensor);
      break;
    }
    default:
      throw new Error(`unknown attribute ${JSON.stringify(attribute satisfies never)}`);
  }
  return message;
}
