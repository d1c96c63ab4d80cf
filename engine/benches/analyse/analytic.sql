WITH monthly AS (
  SELECT c.region, p.category, date_trunc('month', o.placed_at) AS month,
         sum(l.quantity * l.price) AS revenue,
         sum(l.quantity * (l.price - p.cost)) AS margin,
         count(DISTINCT o.customer_id) AS customers
  FROM orders o
  JOIN order_lines l ON l.order_id = o.id
  JOIN products p ON p.id = l.product_id
  JOIN customers c ON c.id = o.customer_id
  WHERE o.placed_at >= now() - interval '24 months'
    AND o.status IN ('paid', 'shipped', 'delivered')
  GROUP BY 1, 2, 3
)
SELECT region, category, month, revenue, margin, customers,
       revenue - lag(revenue) OVER (PARTITION BY region, category ORDER BY month) AS growth,
       CASE WHEN revenue = 0 THEN NULL ELSE round(100 * margin / revenue, 1) END AS margin_percent,
       rank() OVER (PARTITION BY month ORDER BY revenue DESC) AS place
FROM monthly
WHERE category <> 'gift cards' AND revenue > 1000
ORDER BY month DESC, place
LIMIT 100
