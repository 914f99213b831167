// Writes the predictions for the held-out penguins, beside the true values.
//
//     node evaluate.js MODEL.json DATA.csv PREDICTIONS.csv
'use strict'

const fs = require('node:fs')
const { mass } = require('./model')

const [modelFile, dataFile, outFile] = process.argv.slice(2)
const model = JSON.parse(fs.readFileSync(modelFile, 'utf8'))
const [header, ...rows] = fs.readFileSync(dataFile, 'utf8').trim().split('\n')
const names = header.split(',')

const lines = ['id,body_mass_g,expected_g']
for (const row of rows) {
  const penguin = Object.fromEntries(row.split(',').map((text, at) => [names[at], Number(text)]))
  if (penguin.id % 5 === 0) lines.push([penguin.id, penguin.body_mass_g, mass(model, penguin)].join())
}
fs.writeFileSync(outFile, lines.join('\n') + '\n')
