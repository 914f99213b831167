// The body mass that a model predicts for a penguin, in grams.
'use strict'

const measures = ['bill_length_mm', 'bill_depth_mm', 'flipper_length_mm']

exports.mass = (model, penguin) => {
  const missing = measures.filter((name) => !Number.isFinite(penguin[name]))
  if (missing.length > 0) throw new RangeError(`not a number: ${missing.join(', ')}`)
  return measures.reduce((sum, name) => sum + model[name] * penguin[name], model.intercept)
}
