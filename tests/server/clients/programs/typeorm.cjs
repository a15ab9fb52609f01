// typeorm-aurora-data-api-driver, by TypeORM: entities, DEFAULT in VALUES, RETURNING, transactions.  ENGINE: mysql or postgres.
require('reflect-metadata')
const { DataSource, EntitySchema } = require('typeorm')

const engine = process.env.ENGINE
const moment = engine === 'mysql' ? 'datetime' : 'timestamp'
const Item = new EntitySchema({
  name: 'Item',
  tableName: 'items',
  columns: {
    id: { type: 'int', primary: true, generated: true },
    name: { type: 'varchar', length: 20 },
    price: { type: 'decimal', precision: 10, scale: 2, nullable: true },
    sold: { type: moment, nullable: true },
    fresh: { type: Boolean, default: true },
  },
})
const source = new DataSource({
  type: engine === 'mysql' ? 'aurora-mysql' : 'aurora-postgres',
  database: 'shop',
  secretArn: process.env.SECRET_ARN,
  resourceArn: process.env.RESOURCE_ARN,
  region: process.env.AWS_REGION,
  serviceConfigOptions: { endpoint: process.env.AWS_ENDPOINT_URL },
  formatOptions: { castParameters: true },
  driver: require('typeorm-aurora-data-api-driver'),
  entities: [Item],
})
const main = async () => {
  const shown = {}
  await source.initialize()
  const items = source.getRepository(Item)
  const saved = await items.save({ name: 'pear', price: '2.50', sold: new Date(Date.UTC(2024, 1, 29, 12, 30)) })
  shown.saved = [saved.id, saved.fresh]
  const read = await items.findOneByOrFail({ name: 'pear' })
  shown.read = [read.name, read.price, read.sold instanceof Date ? read.sold.toISOString() : read.sold, Boolean(read.fresh)]
  shown.list = (await items.find({ order: { id: 'ASC' }, take: 2 })).map((item) => item.name)
  await source.transaction(async (manager) => { await manager.save(Item, { name: 'kept' }) })
  try {
    await source.transaction(async (manager) => {
      await manager.save(Item, { name: 'undone' })
      await manager.query('SELECT * FROM missing')
    })
  } catch (e) {
    shown.error = [e.name, e.message]
  }
  shown.affected = (await items.update({ name: 'pear' }, { price: '3.00' })).affected
  shown.count = await items.count()
  await source.destroy()
  console.log(JSON.stringify(shown))
}
main().catch((e) => { console.error(e); process.exit(1) })
