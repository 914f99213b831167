// Answers POST /predict with the body mass of a penguin, and GET /healthz.
//
//     node serve.js MODEL.json HOST PORT
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const { mass } = require('./model')

const [modelFile, host, port] = process.argv.slice(2)
const model = JSON.parse(fs.readFileSync(modelFile, 'utf8'))

const answer = (response, status, said) => {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(said))
}

http.createServer((request, response) => {
  const asked = []
  request.on('data', (piece) => asked.push(piece))
  request.on('end', () => {
    if (request.url !== '/predict') return answer(response, request.url === '/healthz' ? 200 : 404, {})
    try {
      answer(response, 200, { body_mass_g: mass(model, JSON.parse(Buffer.concat(asked))) })
    } catch (error) {
      answer(response, 400, { error: error.message })
    }
  })
}).listen(Number(port), host)
