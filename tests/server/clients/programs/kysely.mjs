// kysely-data-api on both engines (the first argument of the environment ENGINE): numbered parameters from 0, types, transactions.
import { RDSData } from '@aws-sdk/client-rds-data'
import { Kysely, sql } from 'kysely'
import { DataApiDialect } from 'kysely-data-api'

const mode = process.env.ENGINE
const db = new Kysely({
  dialect: new DataApiDialect({
    mode,
    driver: {
      client: new RDSData({ endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION }),
      database: 'shop',
      resourceArn: process.env.RESOURCE_ARN,
      secretArn: process.env.SECRET_ARN,
    },
  }),
})
const shown = {}
const insert = db.insertInto('items').values({ name: 'pear', price: 2.5 })
if (mode === 'postgres') {
  shown.inserted = await insert.returning(['id', 'name', 'price', 'fresh']).executeTakeFirst()
} else {
  shown.inserted = (await insert.executeTakeFirst()).insertId.toString()
}
shown.rows = await db.selectFrom('items').select(['id', 'name as label', 'price', 'fresh', 'sold']).where('id', '<=', 2).where('name', 'like', '%a%').orderBy('id').execute()
shown.updated = (await db.updateTable('items').set({ price: 3 }).where('name', '=', 'pear').executeTakeFirst()).numUpdatedRows?.toString()
await db.transaction().execute(async (trx) => {
  await trx.insertInto('items').values([{ name: 'a' }, { name: 'b' }]).execute()
})
try {
  await db.transaction().execute(async (trx) => {
    await trx.deleteFrom('items').execute()
    await trx.selectFrom('missing').selectAll().execute()
  })
} catch (e) {
  shown.error = [e.name, e.message]
}
await db.schema.createTable('made').addColumn('id', 'integer', (c) => c.primaryKey()).addColumn('note', 'varchar(20)', (c) => c.defaultTo('x')).execute()
await db.insertInto('made').values({ id: 1 }).execute()
shown.made = await db.selectFrom('made').selectAll().execute()
if (mode === 'postgres') {
  const tables = await db.introspection.getTables()
  shown.tables = tables.map((t) => [t.schema, t.name, t.isView, t.columns.map((c) => [c.name, c.dataType, c.isNullable, c.isAutoIncrementing])])
}
shown.count = await db.selectFrom('items').select(sql`count(*)`.as('n')).executeTakeFirst()
console.log(JSON.stringify(shown))
