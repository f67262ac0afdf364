const fs = require('fs');
performance.mark('start');
for (let at = 0; at < 12; at++) { fs.readFileSync(__filename); fs.statSync(__dirname); }
require('./program.js');
performance.measure('whole', 'start');
