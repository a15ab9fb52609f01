// data-api-client on MySQL: named parameters, batches, transactions, dates, identifiers.
const data = require('data-api-client')({
  resourceArn: process.env.RESOURCE_ARN,
  secretArn: process.env.SECRET_ARN,
  database: 'shop',
  options: { endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION },
})

const main = async () => {
  const shown = {}
  const sold = new Date(Date.UTC(2024, 1, 29, 12, 30))
  shown.inserted = await data.query('INSERT INTO items (name, price, sold) VALUES (:name, :price, :sold)', { name: 'pear', price: 2.5, sold })
  shown.batch = await data.query('INSERT INTO items (name) VALUES (:name)', [[{ name: 'a' }], [{ name: 'b' }]])
  shown.rows = (await data.query('SELECT id, name AS label, price, sold, fresh FROM ::table WHERE id <= :max ORDER BY id', [{ table: 'items' }, { max: 2 }])).records
  shown.updated = await data.query('UPDATE items SET price = 3 WHERE name = :name', { name: 'pear' })
  shown.transaction = (await data.transaction()
    .query('INSERT INTO items (name) VALUES (:name)', { name: 'c' })
    .query((r) => ['UPDATE items SET price = 1 WHERE id = :id', { id: r.insertId }])
    .commit()).map((r) => r.transactionStatus || r.insertId || r.numberOfRecordsUpdated)
  try {
    await data.transaction()
      .query('DELETE FROM items')
      .query('SELECT * FROM missing')
      .rollback((e, status) => { shown.rolledBack = status })
      .commit()
  } catch (e) {
    shown.error = [e.code, e.message]
  }
  try {
    await data.query('SELECT :missing')
  } catch (e) {
    shown.missing = [e.code, e.message]
  }
  shown.count = (await data.query('SELECT count(*) AS n FROM items')).records
  console.log(JSON.stringify(shown))
}
main().catch((e) => { console.error(e); process.exit(1) })
