// Read before the sources of the binding: where they make the options of a session, they call what is below.
#pragma once
#include "tensorflow/c/c_api.h"

// Options of a session that runs a graph as it was written. By default TensorFlow rewrites it ("grappler") at the first
// call of every entry: some seconds of a processor for two layers, half a minute for a large model, and what it finds
// to do in graphs of the studio does not make a step faster. That constants are folded and equal nodes are merged is
// the work of other passes, which stay.
inline TF_SessionOptions *SessionOptionsOfGraphsAsWritten() {
  // tensorflow.ConfigProto { graph_options (10) { rewrite_options (10) { disable_meta_optimizer (19): true } } }
  static const unsigned char config[] = {0x52, 5, 0x52, 3, 0x98, 1, 1};
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Status *status = TF_NewStatus();
  // Where it is refused the options stay as they are: slower, and no less right.
  TF_SetConfig(options, config, sizeof config, status);
  TF_DeleteStatus(status);
  return options;
}
#define TF_NewSessionOptions SessionOptionsOfGraphsAsWritten
